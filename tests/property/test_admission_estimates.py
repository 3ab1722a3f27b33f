"""Estimates and holds for any request: strict is never below what an engine can make of it, more is never less, base64 is no text."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from extauth.estimate import Estimate, estimate
from extauth.hold import SHARE_PERCENT, plan
from extauth.request import ParsedRequest, parse_request
from ias.context import AdmissionMode
from ias.endpoints import Endpoint
from ratelimit.holds import Offer
from ratelimit.ports import Learned, Limit, Unit

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
roles = st.sampled_from(["system", "user", "assistant"])
chats = st.lists(st.fixed_dictionaries({"role": roles, "content": texts}), max_size=5)
caps = st.none() | st.integers(1, 50_000)
contexts = st.none() | st.integers(1, 50_000)
lessons = st.builds(Learned, st.integers(0, 5_000), st.integers(0, 50_000), st.sampled_from([0, 1_000]))
modes = st.sampled_from(AdmissionMode)


def parsed(members: dict[str, Any], endpoint: Endpoint = Endpoint.CHAT_COMPLETIONS, ascii_only: bool = True) -> ParsedRequest:
    body = json.dumps({"model": "m"} | {name: value for name, value in members.items() if value is not None}, ensure_ascii=ascii_only)
    return parse_request(body.encode(), endpoint)


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    members = {"messages": draw(chats), "max_tokens": draw(caps), "n": draw(st.integers(1, 5))}
    return estimate(parsed(members), Endpoint.CHAT_COMPLETIONS, draw(contexts), draw(st.integers(1, 9_000)), draw(lessons))


@given(chats, caps, st.booleans())
def test_the_most_is_never_below_what_the_hungriest_tokenizer_makes(messages: list[dict[str, str]], cap: int | None, ascii_only: bool) -> None:
    """One token for each byte of each text, and for each message its role and the four markers of ChatML."""
    tokens = sum(len(message["content"].encode()) + len(message["role"]) + 4 for message in messages)
    seen = estimate(
        parsed({"messages": messages, "max_tokens": cap}, ascii_only=ascii_only), Endpoint.CHAT_COMPLETIONS, None, 4_096, Learned(0, 0, 0)
    )
    assert seen.prompt_at_most >= tokens + 64, "and a default system prompt"
    assert seen.total_at_most >= tokens + (cap or 4_096)


@given(st.lists(st.integers(0, 200_000), max_size=30), st.lists(texts, max_size=5))
def test_token_ids_and_lists_of_prompts_are_never_below_either(ids: list[int], prompts: list[str]) -> None:
    as_ids = estimate(parsed({"prompt": ids}, Endpoint.COMPLETIONS), Endpoint.COMPLETIONS, None, 16, Learned(0, 0, 0))
    assert as_ids.prompt_at_most >= len(ids) + 1
    several = estimate(parsed({"prompt": prompts}, Endpoint.COMPLETIONS), Endpoint.COMPLETIONS, None, 16, Learned(0, 0, 0))
    assert several.prompt_at_most >= sum(len(prompt.encode()) + 2 for prompt in prompts)
    assert several.total_at_most >= several.prompt_at_most + 16 * max(1, len(prompts))


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 300), st.integers(0, 300), st.integers(1, 200))
def test_with_a_known_context_the_most_still_covers_every_engine_that_keeps_it(prompts: int, n: int, used: int, cap: int, context: int) -> None:
    """Each prompt has as many tokens as it may, each output as many as are left."""
    request = ParsedRequest("m", False, False, cap, prompts * n, body_bytes=prompts * used, prompts=prompts)
    seen = estimate(request, Endpoint.COMPLETIONS, context, 1, Learned(0, 0, 0))
    prompt = min(used, context)
    assert seen.total_at_most >= prompts * (prompt + n * min(cap, context - prompt))


@given(chats, caps, st.integers(1, 5), contexts, lessons, texts.filter(bool))
def test_more_is_never_less(messages: list[dict[str, str]], cap: int | None, n: int, context: int | None, learned: Learned, more: str) -> None:
    def seen(messages: list[dict[str, str]], cap: int | None, n: int) -> Estimate:
        return estimate(parsed({"messages": messages, "max_tokens": cap, "n": n}), Endpoint.CHAT_COMPLETIONS, context, 4_096, learned)

    least = seen(messages, cap, n)
    longer = seen([*messages, {"role": "user", "content": more}], cap, n)
    wider = seen(messages, cap, n + 1)
    higher = seen(messages, 50_001, n)
    for greater in (longer, wider, higher):
        for field in ("prompt_at_most", "prompt_usual", "output_usual", "total_at_most"):
            assert getattr(greater, field) >= getattr(least, field), field


@given(texts, st.integers(0, 3_000), st.integers(0, 3_000))
def test_base64_is_never_counted(text: str, short: int, long: int) -> None:
    def seen(length: int) -> Estimate:
        url = "data:image/png;base64," + "A" * length
        content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
        return estimate(parsed({"messages": [{"role": "user", "content": content}]}), Endpoint.CHAT_COMPLETIONS, None, 4_096, Learned(900, 10, 1_000))

    assert seen(short) == seen(long)


@given(estimates(), modes, st.booleans(), st.lists(st.integers(1, 200_000), min_size=1, max_size=3), st.integers(0, 200_000))
def test_whatever_is_held_covers_what_is_then_allowed(seen: Estimate, mode: AdmissionMode, stream: bool, capacities: list[int], taken: int) -> None:
    limits = [Limit("tpm", f"b{number}", 1, 60_000, capacity, Unit.TOKENS) for number, capacity in enumerate(capacities)]
    asked = plan(mode, seen, limits, stream, step=256)
    offer, free = Offer.of(asked.hold), max(0, min(capacities) - taken)
    if free < offer.least:
        return
    held = offer.held(free)
    grant = asked.grant(held)
    assert grant.held_tokens == held <= free
    assert (grant.output_cap == 0) or not seen.capped, "a cap of the client's own is never overwritten"
    if mode is AdmissionMode.LENIENT:
        assert (grant.output_cap, grant.top_up_tokens) == (0, 0)
    elif grant.top_up_tokens:
        assert stream
        assert mode is AdmissionMode.BALANCED
    else:
        prompt = seen.prompt_at_most if mode is AdmissionMode.STRICT else seen.prompt_usual
        output = seen.choices * (grant.output_cap or seen.output_at_most)
        assert held >= min(prompt + output, seen.total_at_most)
        if stream and mode is AdmissionMode.BALANCED and asked.step:
            assert held * 100 <= free * SHARE_PERCENT
