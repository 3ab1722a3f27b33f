"""Secrets of sign-in: cookies, links, and the token against cross-site requests. Pure but for the randomness of new secrets."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from uuid import UUID

_MAX_SECRET = 100
_MAX_USER_AGENT = 200


@dataclass(frozen=True, slots=True)
class Client:
    """Where somebody signs in from, as they are shown it among their sessions."""

    address: str
    user_agent: str | None = None
    """What the client says that it is: anything."""

    @classmethod
    def of(cls, address: str, user_agent: str) -> "Client":
        """Keep of a User-Agent header what can be shown."""
        return cls(address, re.sub(r"[^ -~]", "", user_agent)[:_MAX_USER_AGENT].strip() or None)


def new_secret() -> str:
    """Make a secret for a cookie or a link: 256 bits, safe in a URL."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """Return what is stored of such a secret."""
    return hashlib.sha256(secret[:_MAX_SECRET].encode(errors="replace")).digest()


def csrf_token(key: str, session_id: UUID) -> str:
    """Return the token that unsafe requests of a cookie session carry in a header: derived, so that nothing is stored."""
    mac = hmac.new(key.encode(), b"csrf:" + session_id.bytes, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def is_csrf_token(given: str, key: str, session_id: UUID) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), csrf_token(key, session_id).encode())
