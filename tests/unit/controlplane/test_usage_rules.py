import itertools
from datetime import UTC, datetime

import pytest

from controlplane.usage.rules import MAX_COUNT, MAX_REQUEST_ID, MAX_TOKENS, check, cleaned, instant, last_used, merge
from ias.usage_event import Outcome
from tests.support.usage_events import ADMITTED_MS, event, some_id

LOST = event(1, Outcome.LOST)
REAL = event(1, Outcome.CLIENT_ABORT)
OTHER_REAL = event(1, Outcome.COMPLETE)


def test_a_real_event_takes_the_place_of_a_lost_one_in_any_order() -> None:
    for order in itertools.permutations([LOST, REAL, LOST]):
        assert merge(order) == [REAL]


def test_a_second_real_event_changes_nothing() -> None:
    assert merge([REAL, OTHER_REAL]) == [REAL]
    assert merge([OTHER_REAL, REAL]) == [OTHER_REAL]


def test_merged_events_come_in_order_of_id() -> None:
    events = [event(number) for number in (3, 1, 2)]
    assert merge(events) == [event(1), event(2), event(3)]


def test_last_use_is_the_latest_admission_of_each_key() -> None:
    used = last_used([event(5), event(9), event(7), event(1, key_id=some_id(8))])
    assert used == {some_id(3): instant(ADMITTED_MS + 9), some_id(8): instant(ADMITTED_MS + 1)}


def test_instants_are_exact_to_the_millisecond() -> None:
    assert instant(1_700_000_000_123) == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)


def test_what_an_engine_may_report_is_clamped_to_what_a_count_can_be() -> None:
    kept = cleaned(event(input_tokens=2**64 - 1, output_tokens=-5, http_status=2**40, duration_ms=2**63, time_to_first_token_ms=-1))
    assert (kept.input_tokens, kept.output_tokens, kept.http_status) == (MAX_TOKENS, 0, 999)
    assert (kept.duration_ms, kept.time_to_first_token_ms) == (MAX_COUNT, 0)


def test_texts_lose_what_postgresql_does_not_keep() -> None:
    kept = cleaned(event(request_id="a\0b" + "x" * 300, model="m\0", tags={"x\0": "\0"}))
    assert (kept.model, kept.tags, len(kept.request_id), kept.request_id[:3]) == ("m", {"x": ""}, MAX_REQUEST_ID, "abx")


def test_a_first_token_that_never_came_stays_unknown() -> None:
    assert cleaned(event(output_tokens=-1, time_to_first_token_ms=None)).time_to_first_token_ms is None


def test_a_clean_event_stays_as_it_is() -> None:
    clean = event(time_to_first_token_ms=None)
    assert cleaned(clean) is clean


def test_a_proper_event_passes() -> None:
    check(event())


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": "no id"},
        {"event_id": some_id()},
        {"event_id": event().event_id.upper()},
        {"event_id": "ffffffff-ffff-7000-8000-000000000000"},
        {"org_id": ""},
        {"key_id": "k"},
        {"ended_at_ms": 2**60},
    ],
    ids=["no uuid", "uuid of another version", "not canonical", "beyond the calendar", "no org", "no key", "end beyond the calendar"],
)
def test_events_that_the_ledger_cannot_keep_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each says something else
        check(event(**changes))
