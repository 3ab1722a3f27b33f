"""Access tokens: JWT, HS256, short-lived. They name a session; who that is and what they may do is read from the database at each request."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

_ALGORITHM = "HS256"
_ISSUER = "ias"
_MAX_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    user_id: UUID
    session_id: UUID
    """The session that it belongs to; when that ends, so does the token."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Makes and reads tokens."""

    secret: str = field(repr=False)
    lifetime: timedelta

    def issue(self, claims: Claims, now: datetime, not_after: datetime) -> tuple[str, datetime]:
        """Return a token and when it ends: after its lifetime, with its session at the latest."""
        expires_at = min(now + self.lifetime, not_after).replace(microsecond=0)
        payload = {"iss": _ISSUER, "sub": str(claims.user_id), "sid": str(claims.session_id), "iat": now, "exp": expires_at}
        return jwt.encode(payload, self.secret, _ALGORITHM), expires_at

    def read(self, token: str, now: datetime) -> Claims | None:
        """Return the claims; None for anything that is not a valid token of ours at this time."""
        if len(token) > _MAX_LENGTH:
            return None
        options: jwt.types.Options = {"require": ["iss", "sub", "sid", "iat", "exp"], "verify_exp": False, "verify_iat": False}
        try:
            payload = jwt.decode(token, self.secret, [_ALGORITHM], options, issuer=_ISSUER)
            claims = Claims(UUID(payload["sub"]), UUID(payload["sid"]))
            expires_at = datetime.fromtimestamp(payload["exp"], UTC)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError):
            return None
        return claims if now < expires_at else None
