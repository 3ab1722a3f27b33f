"""HMAC-SHA-256 under keys that are used again and again: what depends on the key alone is computed once."""

import hmac
from functools import lru_cache


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the HMAC of a message (RFC 2104)."""
    mac = _keyed(key).copy()
    mac.update(message)
    return mac.digest()


@lru_cache(32)
def _keyed(key: bytes) -> hmac.HMAC:
    """Of peppers and signing keys, which are few and are in memory anyway."""
    return hmac.new(key, digestmod="sha256")
