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
    """Output of a stream that is not at its end; never 0 when something passed."""
    return math.ceil(seen.deltas * ratios.per_delta) if seen.output is None else seen.output


def count(context: RequestContext, seen: Reading, ratios: Ratios, elapsed_ms: int, *, streams: bool) -> Tokens:
    """Tokens of a request that an engine worked on. `streams`: its output passed, or would have, while it was generated.

    What was not streamed and not reported is estimated from the time it took, at most what was held.
    """
    if seen.input is not None and seen.output is not None:
        return Tokens(seen.input, seen.cached_input, seen.output, seen.reasoning, UsageSource.REPORTED)
    prompt = seen.input if seen.input is not None else prompt_tokens(context, ratios)
    if seen.deltas or seen.output:
        return Tokens(prompt, seen.cached_input, output_so_far(seen, ratios), seen.reasoning, UsageSource.COUNTED)
    if streams:
        return Tokens(prompt, seen.cached_input)
    prompt = min(prompt, context.held_tokens)
    output = 0 if context.endpoint is Endpoint.EMBEDDINGS else math.ceil(elapsed_ms * ratios.per_ms)
    return Tokens(prompt, output=min(output, context.held_tokens - prompt))
