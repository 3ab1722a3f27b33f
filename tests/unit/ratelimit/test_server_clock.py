import pytest

from ratelimit.server_clock import ServerClock


def test_knows_nothing_before_the_first_answer() -> None:
    clock = ServerClock()
    assert not clock.known
    with pytest.raises(ValueError, match="not told"):
        clock.at(0)


def test_is_never_ahead_of_the_store() -> None:
    clock = ServerClock()
    clock.observe(sent_ms=100, received_ms=110, server_ms=5_001)  # the store said 5001 somewhere between 100 and 110
    assert clock.at(110) == 5_001
    assert clock.at(120) == 5_011


def test_a_faster_answer_makes_it_tighter_and_a_slower_one_changes_nothing() -> None:
    clock = ServerClock()
    clock.observe(100, 110, 5_001)
    clock.observe(200, 201, 5_100)
    assert clock.at(201) == 5_100
    clock.observe(300, 350, 5_201)
    assert clock.at(350) == 5_249


def test_follows_a_clock_that_was_set_forward_or_back() -> None:
    clock = ServerClock()
    clock.observe(100, 101, 5_000)
    clock.observe(200, 201, 9_000)
    assert clock.at(201) == 9_000
    clock.observe(300, 301, 2_000)
    assert clock.at(301) == 2_000


def test_knows_the_latest_time_also_when_another_server_is_behind() -> None:
    clock = ServerClock()
    clock.observe(100, 101, 5_000)
    assert clock.latest(150) == 5_049
    clock.observe(300, 301, 4_000)
    assert clock.at(301) == 4_000
    assert clock.latest(301) == 5_200, "what the first one would say now"
    assert clock.latest(1_000) == 5_200, "it is gone"
    assert clock.latest(1_600) == clock.at(1_600) == 5_299
