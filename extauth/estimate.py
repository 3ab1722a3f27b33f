"""How many tokens a request may take, before an engine has seen it. Pure.

Two answers for a prompt. *At most*: no tokenizer makes more tokens than its text has bytes (vocabularies over bytes, or with
bytes to fall back on), so the bytes of the body bound what its texts become; a chat template adds its own words, and writes
tools out at up to twice their length. *Usual*: the bytes times what was learned of this org's requests to this
publication. Media count by their kind in both, never by the length of their base64.
"""

from typing import Final

import msgspec

from extauth.media import Medium
from extauth.request import ParsedRequest
from ias.endpoints import Endpoint
from ratelimit.ports import MAX_TOKENS, Learned

TEMPLATE_TOKENS: Final = 256
"""What a chat template adds at most: markers, a default system prompt, the instructions around tools."""
USUAL_TEMPLATE_TOKENS: Final = 32
NOTHING_LEARNED: Final = Learned(tokens_per_kilobyte=500, output_tokens=512, samples=0)
"""A token for two bytes of the body, about the double of English prose."""
_CHATS: Final = frozenset({Endpoint.CHAT_COMPLETIONS, Endpoint.RESPONSES, Endpoint.MESSAGES})

AT_MOST: Final = {Medium.IMAGE: 16_384, Medium.AUDIO: 32_768, Medium.VIDEO: 32_768, Medium.FILE: 131_072}
"""Tokens of one medium, at the defaults of the hungriest open models (Qwen2.5-VL: 16,384 for an image, 24,576 for a video;
Voxtral: 40 minutes of sound). The engine's context limit, where it is known, bounds them too."""
USUAL: Final = {Medium.IMAGE: 1_024, Medium.AUDIO: 1_024, Medium.VIDEO: 8_192, Medium.FILE: 8_192}


class Estimate(msgspec.Struct, frozen=True):
    """Tokens of one request."""

    prompt_at_most: int
    prompt_usual: int
    output_at_most: int
    """Of one choice: the request's cap, or the one that is written into it; never above the engine's context."""
    output_usual: int
    total_at_most: int
    choices: int
    capped: bool
    """The request itself has the cap."""


def estimate(request: ParsedRequest, endpoint: Endpoint, context_tokens: int | None, output_cap: int, learned: Learned) -> Estimate:
    """Estimate a request; `output_cap` stands in where it has no cap of its own."""
    context = context_tokens or MAX_TOKENS
    at_most = min(prompt_at_most(request, endpoint), request.prompts * context)
    usual = min(prompt_usual(request, endpoint, learned), at_most)
    capped = request.output_cap is not None
    cap = 0 if endpoint is Endpoint.EMBEDDINGS else min(output_cap if request.output_cap is None else request.output_cap, context)
    output = request.choices * cap
    # Prompt and output share the context: with the output at its cap, no prompt has more than the rest.
    total = output + min(at_most, request.prompts * (context - cap))
    return Estimate(at_most, usual, cap, min(learned.output_tokens, cap), total, request.choices, capped)


def prompt_at_most(request: ParsedRequest, endpoint: Endpoint) -> int:
    """The upper bound of the prompt, whatever the context limit."""
    template = TEMPLATE_TOKENS if endpoint in _CHATS else 0
    return request.body_bytes + request.tools_bytes + template + sum(AT_MOST[medium] for medium in request.media)


def prompt_usual(request: ParsedRequest, endpoint: Endpoint, learned: Learned) -> int:
    """What the prompt rarely exceeds. What was learned holds the template's words already."""
    template = USUAL_TEMPLATE_TOKENS if endpoint in _CHATS and not learned.samples else 0
    return -(-request.body_bytes * learned.tokens_per_kilobyte // 1000) + template + sum(USUAL[medium] for medium in request.media)
