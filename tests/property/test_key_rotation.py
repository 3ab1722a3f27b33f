"""Rotations of a key, in any order and at any time: what is valid when, and how many at most."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.errors import Problem
from controlplane.keys.rules import DEFAULT_OVERLAP, MAX_LIVE_CREDENTIALS, Validity, after_rotation

START = datetime(2026, 11, 1, tzinfo=UTC)
OVERLAPS = st.sampled_from([timedelta(0), timedelta(minutes=5), DEFAULT_OVERLAP])
STEPS = st.lists(st.tuples(st.timedeltas(timedelta(0), timedelta(hours=30)), OVERLAPS), max_size=12)


def is_valid(one: Validity, now: datetime) -> bool:
    return one.valid_until is None or one.valid_until > now


@given(STEPS)
def test_the_newest_secret_works_and_those_before_end_within_the_overlap(steps: list[tuple[timedelta, timedelta]]) -> None:
    now, all_made = START, [Validity("0", None)]
    for pause, overlap in steps:
        now += pause
        live = [one for one in all_made if is_valid(one, now)]
        assert live[-1].valid_until is None, "the newest has no end of its own"
        if overlap and len(live) == MAX_LIVE_CREDENTIALS:
            with pytest.raises(Problem, match="limit"):
                after_rotation(live, now, overlap)
            continue
        ends = after_rotation(live, now, overlap)
        for one in live:
            end = ends.get(one.credential_id, one.valid_until)
            assert end is not None, "every one before has an end now"
            assert end <= now + overlap
            assert one.valid_until is None or end <= one.valid_until, "and none got more time"
        all_made = [Validity(one.credential_id, ends.get(one.credential_id, one.valid_until)) for one in all_made]
        all_made.append(Validity(str(len(all_made)), None))
        assert len([one for one in all_made if is_valid(one, now)]) <= MAX_LIVE_CREDENTIALS
