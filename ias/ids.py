"""Identifiers. Reservation ids are UUIDv7 whose time is the store's clock at admission."""

import secrets
import uuid

_RANDOM_BITS = 80

NOBODY = str(uuid.UUID(int=0))
"""Stands for user and key of a request without a credential."""


def uuid7(unix_ms: int, random_bits: int | None = None) -> uuid.UUID:
    """Make a UUIDv7 (RFC 9562 §5.7) for a time in milliseconds; `random_bits` (80 bits) is for tests and replays."""
    if not 0 <= unix_ms < 1 << 48:
        raise ValueError(f"time out of range for a UUIDv7: {unix_ms} ms")
    rand = secrets.randbits(_RANDOM_BITS) if random_bits is None else random_bits & ((1 << _RANDOM_BITS) - 1)
    rand_a, rand_b = rand >> 68, rand & ((1 << 62) - 1)
    return uuid.UUID(int=unix_ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)


def uuid7_ms(value: uuid.UUID) -> int:
    """Return the time in milliseconds that a UUIDv7 carries; raise ValueError for any other version."""
    if value.version != 7:
        raise ValueError(f"not a UUIDv7: {value}")
    return value.int >> 80


def uuid7_tail(random_bits: int) -> str:
    """Return the text of a UUIDv7 behind its time (`7xxx-yxxx-xxxxxxxxxxxx`), for a writer who learns the time later: a store's script."""
    rand_a, rand_b = random_bits >> 68 & 0xFFF, random_bits & ((1 << 62) - 1) | 1 << 63
    return f"{0x7000 | rand_a:04x}-{rand_b >> 48:04x}-{rand_b & 0xFFFFFFFFFFFF:012x}"
