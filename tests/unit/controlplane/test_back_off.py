"""How guessing is slowed down, told as attempts at points in time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from controlplane.sign_in.back_off import FORGOTTEN_AFTER, KNOWN_FOR, Counted, Record, attempted, subjects, succeeded, wait_s

START = datetime(2026, 1, 2, tzinfo=UTC)


class Memory:
    """What the database keeps, for any account and address."""

    def __init__(self) -> None:
        self.kept: dict[bytes, Record] = {}

    def attempt(self, now_s: float, account: str = "root", address: str = "192.0.2.1", right: bool = False) -> float:
        """Return the wait; 0: the attempt was made."""
        now, keys = START + timedelta(seconds=now_s), subjects(account, address)
        records = {kind: self.kept.get(key, Record(0, now)) for kind, key in keys.items()}
        if (wait := wait_s(records, now)) == 0:
            records = attempted(records, now)
            records = succeeded(records, now) if right else records
            self.kept |= {keys[kind]: record for kind, record in records.items()}
        return wait

    def attempts(self, times: Sequence[float], **who: str) -> list[float]:
        return [self.attempt(now_s, **who) for now_s in times]


def test_five_attempts_are_free_then_each_one_doubles_the_wait() -> None:
    assert Memory().attempts([0, 0, 0, 0, 0, 0, 1, 1, 3, 3, 7]) == [0, 0, 0, 0, 0, 1, 0, 2, 0, 4, 0]


def test_the_wait_ends_at_a_minute() -> None:
    memory = Memory()
    memory.attempts([60.0 * n for n in range(30)])
    assert memory.attempt(30 * 60 - 60 + 0.5) == 59.5


def test_being_refused_makes_the_wait_no_longer() -> None:
    memory = Memory()
    memory.attempts([0] * 5)
    assert memory.attempts([0.25, 0.5, 0.75, 1.0]) == [0.75, 0.5, 0.25, 0]


def test_the_right_password_clears_the_record() -> None:
    memory = Memory()
    memory.attempts([0] * 4)
    assert memory.attempt(0, right=True) == 0
    assert memory.attempts([0] * 5) == [0] * 5


def test_the_case_of_the_name_gives_no_new_attempts_and_another_address_is_not_slowed() -> None:
    memory = Memory()
    memory.attempts([0] * 5)
    assert memory.attempt(0, account="Root") == 1
    assert memory.attempt(0, address="192.0.2.2") == 0


def test_failures_are_forgotten_after_an_hour_of_peace() -> None:
    memory = Memory()
    memory.attempts([0] * 5)
    assert memory.attempts([FORGOTTEN_AFTER.total_seconds() + 2] * 5) == [0] * 5


def test_many_addresses_that_guess_one_account_are_slowed_down_together() -> None:
    memory = Memory()
    waits = [memory.attempt(0, address=f"198.51.100.{n}") for n in range(60)]
    assert waits == [0] * 50 + [1] * 10


def test_one_address_that_guesses_many_accounts_is_slowed_down() -> None:
    memory = Memory()
    waits = [memory.attempt(0, account=f"user-{n}") for n in range(110)]
    assert waits == [0] * 100 + [1] * 10


def test_a_stranger_cannot_shut_out_whoever_has_signed_in_from_there_before() -> None:
    memory = Memory()
    assert memory.attempt(0, address="home", right=True) == 0
    for n in range(200):
        memory.attempt(1, address=f"198.51.100.{n}")
        memory.attempt(1, account=f"user-{n}", address="home")
    assert memory.attempt(1.5, address="elsewhere") > 0
    assert memory.attempt(1.5, account="user-200", address="home") > 0
    assert memory.attempt(1.5, address="home", right=True) == 0
    assert memory.attempt(1.5 + KNOWN_FOR.total_seconds() - 1, address="home") == 0


def test_a_stranger_holds_others_up_for_half_a_minute_at_most() -> None:
    memory = Memory()
    waits = [memory.attempt(n, address=f"198.51.100.{n}") for n in range(2000)]
    assert max(waits) == 29
    assert memory.attempt(2000, address="new") <= 30


def test_an_own_account_does_not_clear_the_count_of_its_address() -> None:
    memory = Memory()
    for n in range(99):
        memory.attempt(0, account=f"user-{n}")
        memory.attempt(0, account="mine", right=True)
        memory.attempt(0, account="another of mine", right=True)
    assert memory.attempt(0, account="user-99") == 0
    memory.attempt(0, account="mine", right=True)
    assert memory.attempt(0, account="user-100") == 1


def test_what_is_counted_has_one_size_whatever_is_typed() -> None:
    for account in ("", "x" * 100_000, "\ud7ff", "a\0b"):
        assert {len(subject) for subject in subjects(account, "192.0.2.1").values()} == {32}
    assert len({*subjects("a", "b").values(), *subjects("b", "a").values()}) == 6
    assert set(Counted) == set(subjects("a", "b"))
