from datetime import UTC, datetime, timedelta

import pytest

from controlplane.keys import pace
from controlplane.keys.pace import Pace, ask

START = datetime(2026, 1, 1, tzinfo=UTC)


class Address:
    """One that asks, 30 times a minute at most."""

    def __init__(self) -> None:
        self.paid_off = START

    def wait_s(self, after_s: float) -> float:
        wait, self.paid_off = ask(self.paid_off, START + timedelta(seconds=after_s), 30)
        return wait


def test_some_at_once_then_as_many_as_the_minute_has() -> None:
    one = Address()
    assert [one.wait_s(0) for _ in range(10)] == [0.0] * 10
    assert one.wait_s(0) == pytest.approx(2.0)
    assert one.wait_s(0) == pytest.approx(2.0), "who is refused pays nothing"
    assert sum(one.wait_s(second / 10) == 0.0 for second in range(1, 601)) == 30


def test_who_was_quiet_for_long_has_all_at_once_again_and_no_more() -> None:
    one = Address()
    for now in (0, 1e6):
        assert sum(one.wait_s(now) == 0.0 for _ in range(50)) == 10


def test_a_refusal_is_remembered_until_it_ends() -> None:
    limit = Pace(per_minute=30)
    limit.refuse("a", 12.0)
    assert [limit.refused_s("a", now) for now in (10.0, 12.0, 13.0)] == [2.0, 0.0, 0.0]
    assert limit.refused_s("b", 10.0) == 0.0


def test_it_remembers_a_bounded_number_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_MAX_ADDRESSES", 3)
    limit = Pace(per_minute=1)
    for number in range(100):
        limit.refuse(str(number), 1.0)
    assert list(limit._refused_until) == ["97", "98", "99"]
