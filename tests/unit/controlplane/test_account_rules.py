import pytest

from controlplane.accounts.rules import Throttle, new_password


def attempts(throttle: Throttle, times: list[float], account: str = "root", address: str = "192.0.2.1") -> list[float]:
    return [throttle.admit(account, address, now) for now in times]


def test_five_attempts_are_free_then_each_one_doubles_the_wait() -> None:
    throttle = Throttle()
    assert attempts(throttle, [0, 0, 0, 0, 0, 0, 1, 1, 3, 3, 7]) == [0, 0, 0, 0, 0, 1, 0, 2, 0, 4, 0]


def test_the_wait_ends_at_a_minute() -> None:
    throttle = Throttle()
    now = 0.0
    for _ in range(30):
        throttle.admit("root", "a", now)
        now += 60
    assert throttle.admit("root", "a", now) == 0
    assert throttle.admit("root", "a", now) == 60


def test_being_refused_makes_the_wait_no_longer() -> None:
    throttle = Throttle()
    attempts(throttle, [0] * 5)
    assert attempts(throttle, [0.25, 0.5, 0.75, 1.0]) == [0.75, 0.5, 0.25, 0]


def test_the_right_password_clears_the_record() -> None:
    throttle = Throttle()
    attempts(throttle, [0] * 5)
    throttle.succeeded("ROOT", "192.0.2.1")
    assert attempts(throttle, [0] * 5) == [0] * 5


def test_the_case_of_the_name_gives_no_new_attempts_and_another_address_is_not_slowed() -> None:
    throttle = Throttle()
    attempts(throttle, [0] * 5, account="root")
    assert throttle.admit("Root", "192.0.2.1", 0) == 1
    assert throttle.admit("root", "192.0.2.2", 0) == 0


def test_a_stranger_cannot_fill_the_memory() -> None:
    throttle = Throttle()
    for n in range(10_100):
        throttle.admit(f"user-{n}", "a", 0)
    assert len(throttle._entries) == 10_000


def test_made_passwords_are_long_and_never_the_same() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert min(map(len, made)) >= 24


@pytest.mark.parametrize("account", ["", "x" * 100])
def test_any_name_may_be_tried(account: str) -> None:
    assert Throttle().admit(account, "", 0) == 0
