"""Following an engine's counters over its restarts, and telling noise from a loss."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.reconciliation.counters_http import parse
from controlplane.reconciliation.rules import Difference, Followed, Tokens, follow, table

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EXPOSED = """# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 100.0
vllm:prompt_tokens_total{engine="1",model_name="m"} 1.0e+03
vllm:prompt_tokens_total{engine="0",model_name="n"} 7.0
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="m"} 50.0
# TYPE other gauge
other 5
"""


def test_counters_are_read_by_model_over_all_processes_of_an_engine() -> None:
    assert parse(EXPOSED) == {"m": Tokens(1100, 50), "n": Tokens(7, 0)}


@pytest.mark.parametrize("text", ["{", *(f'vllm:prompt_tokens_total{{model_name="m"}} {number}' for number in ("many", "NaN", "+Inf", "-1", "1e30"))])
def test_what_is_no_exposition_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- of the parser
        parse(text)


def test_the_first_reading_is_the_starting_point() -> None:
    first = follow(None, Tokens(1000, 500), NOON)
    assert (first.since, first.counted) == (NOON, Tokens(0, 0))
    second = follow(first, Tokens(1010, 503), NOON + timedelta(seconds=1))
    assert (second.since, second.counted, second.resets) == (NOON, Tokens(10, 3), 0)


def test_a_restart_of_the_engine_and_a_new_day_are_new_starting_points() -> None:
    known = follow(follow(None, Tokens(1000, 500), NOON), Tokens(2000, 900), NOON + timedelta(minutes=1))
    restarted = follow(known, Tokens(5, 2), NOON + timedelta(minutes=2))
    assert (restarted.since, restarted.counted, restarted.resets) == (NOON + timedelta(minutes=2), Tokens(0, 0), 1)
    tomorrow = follow(known, Tokens(3000, 1000), NOON + timedelta(hours=13))
    assert (tomorrow.since, tomorrow.counted, tomorrow.resets) == (NOON + timedelta(hours=13), Tokens(0, 0), 0)


def test_a_reading_that_comes_late_changes_nothing() -> None:
    known = follow(follow(None, Tokens(0, 0), NOON), Tokens(20, 9), NOON + timedelta(minutes=2))
    assert follow(known, Tokens(10, 5), NOON + timedelta(minutes=1)) is known


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), max_size=20))
def test_what_is_counted_is_what_the_engine_made_since_the_starting_point(steps: list[tuple[int, int]]) -> None:
    known: Followed = follow(None, Tokens(7, 7), NOON)
    inputs = outputs = 0
    for second, (more_input, more_output) in enumerate(steps, 1):
        inputs, outputs = inputs + more_input, outputs + more_output
        known = follow(known, Tokens(7 + inputs, 7 + outputs), NOON + timedelta(seconds=second))
    assert known.counted == Tokens(inputs, outputs)


@pytest.mark.parametrize(
    ("engine", "ledger", "alarm"),
    [
        (Tokens(500_000, 500_000), Tokens(500_000, 500_000), False),
        (Tokens(500_000, 500_000), Tokens(500_000, 495_000), False),
        (Tokens(500_000, 500_000), Tokens(480_000, 500_000), True),
        (Tokens(500_000, 480_000), Tokens(500_000, 500_000), True),
        (Tokens(100, 100), Tokens(0, 0), False),
    ],
    ids=["equal", "within the tolerance", "the ledger has less", "the ledger has more", "too little to tell"],
)
def test_alarms(engine: Tokens, ledger: Tokens, alarm: bool) -> None:
    assert Difference("b", "m", NOON, engine, ledger, 0).is_alarm(0.01) is alarm


def test_a_person_sees_a_line_for_each_model() -> None:
    lines = table([Difference("vllm", "llama", NOON, Tokens(10, 20), Tokens(8, 20), 1)]).splitlines()
    assert lines[1].split() == ["vllm", "llama", "2026-11-20", "12:00:00Z", "10", "8", "2", "20", "20", "0", "1"]
