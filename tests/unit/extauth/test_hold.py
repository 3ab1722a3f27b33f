"""What each mode holds, and what the answer of the store means: the table of modes in design §4, row by row."""

from typing import Any

import pytest

from extauth.estimate import Estimate
from extauth.hold import Grant, Plan, plan
from ias.context import AdmissionMode
from ratelimit.ports import MAX_TOKENS, Limit, TokenHold, Unit

STRICT, BALANCED, LENIENT = AdmissionMode.STRICT, AdmissionMode.BALANCED, AdmissionMode.LENIENT
STEP = 256


def tokens(capacity: int, **changes: Any) -> Limit:
    return Limit("tokensPerMinute", "org:tpm", 1, 60_000, capacity, Unit.TOKENS, **changes)


def made(mode: AdmissionMode, stream: bool = False, capacity: int = 100_000, **changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "prompt_at_most": 1_000,
        "prompt_usual": 300,
        "output_at_most": 4_000,
        "output_usual": 400,
        "total_at_most": 5_000,
        "choices": 1,
        "capped": True,
    }
    return plan(mode, Estimate(**(fields | changes)), (Limit("rpm", "org:rpm", 1, 1, 5), tokens(capacity)), stream, STEP)


@pytest.mark.parametrize("stream", [False, True])
def test_strict_holds_the_most_that_the_request_can_take(stream: bool) -> None:
    asked = made(STRICT, stream)
    assert asked.hold == TokenHold(5_000)
    assert asked.grant(5_000) == Grant(5_000, 1_000, output_cap=0, top_up_tokens=0)


def test_strict_writes_a_cap_where_there_is_none_and_a_smaller_one_when_less_is_free() -> None:
    asked = made(STRICT, capped=False)
    assert asked.hold == TokenHold(5_000, at_least=1_016)
    assert asked.grant(5_000).output_cap == 4_000
    assert asked.grant(1_700) == Grant(1_700, 1_000, output_cap=700, top_up_tokens=0)


def test_a_cap_is_what_is_held_divided_by_the_choices() -> None:
    asked = made(STRICT, capped=False, choices=3, total_at_most=13_000)
    assert asked.hold == TokenHold(13_000, at_least=1_048)
    assert asked.grant(2_000).output_cap == 333


def test_balanced_holds_the_usual_prompt_and_the_whole_output_of_an_answer_that_is_not_streamed() -> None:
    asked = made(BALANCED)
    assert asked.hold == TokenHold(4_300)
    assert asked.grant(4_300) == Grant(4_300, 300, output_cap=0, top_up_tokens=0)


def test_balanced_writes_the_cap_of_an_answer_that_is_not_streamed_and_has_none() -> None:
    """And a limit below the default cap does not refuse every request for ever (trap T12)."""
    asked = made(BALANCED, capacity=1_000, capped=False)
    assert asked.hold == TokenHold(4_300, at_least=316)
    assert asked.grant(4_300).output_cap == 4_000
    assert asked.grant(1_000).output_cap == 700


def test_a_balanced_stream_holds_its_whole_output_only_from_plenty() -> None:
    asked = made(BALANCED, stream=True)
    assert asked.hold == TokenHold(4_300, share_percent=10, reduced=700)
    assert asked.grant(4_300) == Grant(4_300, 300, output_cap=0, top_up_tokens=0)
    assert asked.grant(700) == Grant(700, 300, output_cap=0, top_up_tokens=STEP)


def test_a_balanced_stream_without_a_cap_gets_one_only_with_its_whole_output() -> None:
    asked = made(BALANCED, stream=True, capped=False)
    assert asked.grant(4_300) == Grant(4_300, 300, output_cap=4_000, top_up_tokens=0)
    assert asked.grant(700) == Grant(700, 300, output_cap=0, top_up_tokens=STEP)


def test_a_stream_whose_usual_output_is_its_whole_one_is_not_topped_up() -> None:
    asked = made(BALANCED, stream=True, output_at_most=100, output_usual=100)
    assert asked.hold == TokenHold(400)
    assert asked.grant(400).top_up_tokens == 0


def test_a_small_limit_refuses_a_stream_only_for_its_prompt() -> None:
    assert made(BALANCED, stream=True, capacity=500).hold.reduced == 500
    assert made(BALANCED, stream=True, capacity=300).hold.reduced == 301, "more than the limit: refused"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("capped", [False, True])
def test_lenient_holds_the_usual_and_changes_nothing(stream: bool, capped: bool) -> None:
    asked = made(LENIENT, stream, capped=capped)
    assert asked.hold == TokenHold(700)
    assert asked.grant(700) == Grant(700, 300, output_cap=0, top_up_tokens=0)
    assert made(LENIENT, stream, capacity=500, capped=capped).hold == TokenHold(500)


@pytest.mark.parametrize("mode", AdmissionMode)
@pytest.mark.parametrize("limits", [(), (tokens(10, dry_run=True),), (Limit("rpm", "org:rpm", 1, 1, 5), Limit("s", "s", 0, 1, 1, Unit.STREAMS))])
def test_without_a_token_limit_no_byte_is_changed(mode: AdmissionMode, limits: tuple[Limit, ...]) -> None:
    asked = plan(mode, Estimate(1_000, 300, 4_000, 400, 5_000, 1, capped=False), limits, True, STEP)
    assert asked.hold == TokenHold(700)
    assert asked.grant(700) == Grant(700, 300, output_cap=0, top_up_tokens=0)


@pytest.mark.parametrize("mode", AdmissionMode)
@pytest.mark.parametrize("stream", [False, True])
def test_embeddings_hold_their_prompt(mode: AdmissionMode, stream: bool) -> None:
    asked = made(mode, stream, output_at_most=0, output_usual=0, total_at_most=1_000, capped=False)
    assert asked.hold == TokenHold(1_000 if mode is STRICT else 300)
    assert asked.grant(asked.hold.full).output_cap == 0


@pytest.mark.parametrize("mode", AdmissionMode)
def test_the_largest_request_is_one_that_the_store_takes(mode: AdmissionMode) -> None:
    huge = {"output_at_most": 1 << 31, "output_usual": 1 << 31, "choices": 128 * 2_048, "total_at_most": 1 << 60}
    for stream in (False, True):
        assert made(mode, stream, capacity=1 << 36, **huge).hold.full < MAX_TOKENS
