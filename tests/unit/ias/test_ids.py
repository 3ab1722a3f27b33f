"""UUIDv7 as RFC 9562 has it."""

import uuid

import pytest

from ias.ids import uuid7, uuid7_ms


def test_the_example_of_rfc_9562() -> None:
    """Appendix A.6: 2022-02-22 14:22:22.00 -05:00, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F."""
    assert uuid7(0x017F22E279B0, 0xCC3 << 68 | 0x18C4DC0C0C07398F) == uuid.UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


def test_version_and_variant() -> None:
    made = uuid7(1)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


@pytest.mark.parametrize("ms", [-1, 1 << 48])
def test_a_time_that_does_not_fit_is_refused(ms: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        uuid7(ms)


@pytest.mark.parametrize("other", [uuid.uuid4(), uuid.uuid1(), uuid.UUID(int=0)])
def test_other_uuids_carry_no_time(other: uuid.UUID) -> None:
    with pytest.raises(ValueError, match="not a UUIDv7"):
        uuid7_ms(other)
