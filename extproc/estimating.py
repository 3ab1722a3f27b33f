"""From what was seen of an answer to tokens: reported where the engine said, else counted, else estimated."""

import math

from extproc.dialects.reading import Reading
from extproc.learning import Ratios
from extproc.tokens import Tokens
from ias.context import RequestContext
from ias.endpoints import Endpoint
from ias.usage_event import UsageSource


def prompt_tokens(context: RequestContext, ratios: Ratios) -> int:
    """The prompt as far as we know it: by the learned ratio, else what admission held for it."""
    return math.ceil(context.body_bytes * ratios.per_byte) or context.prompt_tokens


def output_so_far(seen: Reading, ratios: Ratios) -> int:
    """Output of a stream that is not at its end: what was reported, and what passed since; never 0 when something passed."""
    return (seen.output or 0) + math.ceil(seen.untold * ratios.per_delta)


def used_for_certain(seen: Reading) -> int:
    """What the engine has said so far, and one token for each piece of output since; at the end it is never less."""
    return (seen.input or 0) + (seen.output or 0) + max(0, seen.untold)


def count(context: RequestContext, seen: Reading, ratios: Ratios, elapsed_ms: int, *, streams: bool) -> Tokens:
    """Tokens of a request that an engine worked on. `streams`: its output passed, or would have, while it was generated.

    What was not streamed and not reported is estimated from the time it took, at most what was held.
    """
    prompt = seen.input if seen.input is not None else prompt_tokens(context, ratios)
    cached = min(seen.cached_input, prompt)
    if seen.input is not None and seen.output is not None and not seen.untold:
        return Tokens(prompt, cached, seen.output, min(seen.reasoning, seen.output), UsageSource.REPORTED)
    if seen.deltas or seen.output:
        output = output_so_far(seen, ratios)
        return Tokens(prompt, cached, output, min(seen.reasoning, output), UsageSource.COUNTED)
    if context.endpoint is Endpoint.EMBEDDINGS and seen.input is not None:
        return Tokens(prompt, cached, source=UsageSource.REPORTED)  # there is no output that could be missing
    if streams:
        return Tokens(prompt, cached)
    if seen.input is None:
        prompt = min(prompt, context.held_tokens)
    output = 0 if context.endpoint is Endpoint.EMBEDDINGS else math.ceil(elapsed_ms * ratios.per_ms)
    return Tokens(prompt, cached, max(0, min(output, context.held_tokens - prompt)))
