"""Tokens of a request before an engine has seen it."""

from typing import Any

import pytest

from extauth.estimate import AT_MOST, NOTHING_LEARNED, TEMPLATE_TOKENS, USUAL, USUAL_TEMPLATE_TOKENS, Estimate, estimate
from extauth.media import Medium
from extauth.request import ParsedRequest
from ias.endpoints import Endpoint
from ratelimit.ports import Learned

CHAT, COMPLETIONS, EMBEDDINGS = Endpoint.CHAT_COMPLETIONS, Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS
LEARNED = Learned(tokens_per_kilobyte=300, output_tokens=40, samples=1_000)


def request(**changes: Any) -> ParsedRequest:
    fields: dict[str, Any] = {"model": "m", "stream": False, "include_usage": False, "output_cap": None, "choices": 1, "body_bytes": 1_000}
    return ParsedRequest(**(fields | changes))


def of(parsed: ParsedRequest, endpoint: Endpoint = COMPLETIONS, context: int | None = None, learned: Learned = LEARNED) -> Estimate:
    return estimate(parsed, endpoint, context, 4_096, learned)


def test_a_prompt_has_at_most_as_many_tokens_as_bytes_and_usually_what_was_learned() -> None:
    assert of(request()) == Estimate(1_000, 300, 4_096, 40, 5_096, 1, capped=False)


def test_a_chat_has_the_words_of_its_template_too() -> None:
    new, old = of(request(), CHAT, learned=NOTHING_LEARNED), of(request(), CHAT)
    assert new.prompt_at_most == old.prompt_at_most == 1_000 + TEMPLATE_TOKENS
    assert new.prompt_usual == 500 + USUAL_TEMPLATE_TOKENS
    assert old.prompt_usual == 300, "what was learned holds them already"


def test_tools_are_written_out_at_length() -> None:
    assert of(request(tools_bytes=600)).prompt_at_most == 1_600


@pytest.mark.parametrize("medium", Medium)
def test_media_count_by_their_kind(medium: Medium) -> None:
    seen = of(request(media=(medium, medium)))
    assert (seen.prompt_at_most, seen.prompt_usual) == (1_000 + 2 * AT_MOST[medium], 300 + 2 * USUAL[medium])


@pytest.mark.parametrize(
    ("context", "changes", "at_most", "output", "total"),
    [
        (8_000, {}, 1_000, 4_096, 5_096),
        (4_500, {}, 1_000, 4_096, 4_500),  # both share the context
        (4_000, {}, 1_000, 4_000, 4_000),
        (800, {}, 800, 800, 800),
        (800, {"output_cap": 100}, 800, 100, 800),
        (800, {"output_cap": 100, "choices": 3}, 800, 100, 700 + 300),
        (800, {"output_cap": 100, "choices": 2, "prompts": 2}, 1_000, 100, 1_000 + 200),
        (300, {"output_cap": 100, "choices": 2, "prompts": 2}, 600, 100, 2 * 300),
        (300, {"output_cap": 0}, 300, 0, 300),
    ],
)
def test_the_context_bounds_prompt_and_output_together(context: int, changes: dict[str, Any], at_most: int, output: int, total: int) -> None:
    seen = of(request(**changes), context=context)
    assert (seen.prompt_at_most, seen.output_at_most, seen.total_at_most) == (at_most, output, total)


def test_the_usual_never_exceeds_the_most() -> None:
    seen = of(request(output_cap=5, body_bytes=10), learned=Learned(5_000, 900, 1_000))
    assert (seen.prompt_usual, seen.output_usual) == (10, 5)


def test_embeddings_have_no_output() -> None:
    seen = of(request(choices=3, prompts=3), EMBEDDINGS)
    assert (seen.output_at_most, seen.output_usual, seen.total_at_most) == (0, 0, 1_000)


def test_an_unknown_shape_is_never_free() -> None:
    assert of(request(body_bytes=2), EMBEDDINGS, learned=NOTHING_LEARNED).prompt_usual == 1
