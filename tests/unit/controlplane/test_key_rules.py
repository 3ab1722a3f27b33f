from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from controlplane.keys.rules import KeyRules, confirmation, status_at

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_new_keys_use_the_pepper_of_the_highest_version() -> None:
    assert KeyRules({2: b"two", 10: b"ten", 1: b"one"}, "live", 1).current_pepper == (10, b"ten")


def test_peppers_are_not_in_the_representation() -> None:
    assert "two" not in repr(KeyRules({2: b"two"}, "live", 1))


@pytest.mark.parametrize(
    ("status", "ends_in", "expected"),
    [("active", None, "active"), ("active", 1, "active"), ("active", 0, "expired"), ("disabled", -1, "disabled"), ("revoked", -1, "revoked")],
)
def test_a_key_that_works_expires(status: str, ends_in: int | None, expected: str) -> None:
    assert status_at(status, None if ends_in is None else NOW + timedelta(seconds=ends_in), NOW) == expected


def test_a_confirmation_stands_for_exactly_these_keys() -> None:
    one, two = UUID(int=1), UUID(int=2)
    assert confirmation([one, two]) == confirmation([two, one])
    assert len({confirmation(ids) for ids in ([], [one], [two], [one, two])}) == 4
