"""The format of API keys: `ias_<env>_<id><secret><crc>`, and the digest that is stored in place of one.

base62 throughout: an 8-character credential id (it may be logged), a 43-character secret (256 bits) and the CRC-32 of
all before it in 6 characters. The checksum comes before any lookup: it turns typos and scanners' garbage away for free.
The shape follows GitHub's (https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/).
"""

import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

from ias.keyed_digest import hmac_sha256

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 8
SECRET_LENGTH = 43
CRC_LENGTH = 6
_PATTERN = re.compile(rf"ias_([a-z]{{1,8}})_([0-9A-Za-z]{{{ID_LENGTH}}})([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{CRC_LENGTH}}})")
MAX_LENGTH = len("ias_") + 8 + 1 + ID_LENGTH + SECRET_LENGTH + CRC_LENGTH


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key in plain text. It exists at creation, and in the moment of checking a request; never in a store or a log."""

    env: str
    credential_id: str
    text: str = field(repr=False)

    @property
    def hint(self) -> str:
        """What may be shown and logged: prefix and credential id."""
        return f"ias_{self.env}_{self.credential_id}…"

    def digest(self, pepper: bytes) -> bytes:
        """Return HMAC-SHA-256 under a pepper: what the database keeps. 256-bit secrets need no slow hash."""
        return hmac_sha256(pepper, self.text.encode())

    def matches(self, digest: bytes, pepper: bytes) -> bool:
        """Compare with a stored digest in constant time."""
        return hmac.compare_digest(self.digest(pepper), digest)


def new_key(env: str = "live") -> ApiKey:
    """Make a key from the system's randomness."""
    if not re.fullmatch("[a-z]{1,8}", env):
        raise ValueError("the environment part of a key is 1 to 8 lower-case letters")
    credential_id = "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
    body = f"ias_{env}_{credential_id}{_base62(secrets.randbits(256), SECRET_LENGTH)}"
    return ApiKey(env, credential_id, body + _crc(body))


def parse_key(text: str) -> ApiKey | None:
    """Return the key, or None for anything that is not one of ours: wrong shape or wrong checksum. Touches no store."""
    if len(text) > MAX_LENGTH or not (match := _PATTERN.fullmatch(text)):
        return None
    if _crc(text[:-CRC_LENGTH]) != match[4]:
        return None
    return ApiKey(match[1], match[2], text)


_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
"""Two digits of base62 at once."""


def _crc(body: str) -> str:
    rest, low = divmod(zlib.crc32(body.encode()), len(_PAIRS))
    high, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
