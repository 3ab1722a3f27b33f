import pytest

from controlplane.keys import pace
from controlplane.keys.pace import Pace


def test_some_at_once_then_as_many_as_the_minute_has() -> None:
    limit = Pace(per_minute=30)
    assert [limit.wait_s("a", 0.0) for _ in range(10)] == [0.0] * 10
    assert limit.wait_s("a", 0.0) == pytest.approx(2.0)
    assert limit.wait_s("a", 0.0) == pytest.approx(2.0), "who is refused pays nothing"
    assert limit.wait_s("b", 0.0) == 0.0
    admitted = sum(limit.wait_s("a", second / 10) == 0.0 for second in range(1, 601))
    assert admitted == 30


def test_who_was_quiet_for_long_has_all_at_once_again_and_no_more() -> None:
    limit = Pace(per_minute=30)
    for now in (0.0, 1e6):
        assert sum(limit.wait_s("a", now) == 0.0 for _ in range(50)) == 10


def test_it_remembers_a_bounded_number_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_MAX_ADDRESSES", 3)
    limit = Pace(per_minute=1)
    for number in range(100):
        limit.wait_s(str(number), 0.0)
    assert list(limit._paid_off) == ["97", "98", "99"]
