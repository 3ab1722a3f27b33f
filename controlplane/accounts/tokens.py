"""Session tokens: JWT, HS256, short-lived. They say who; everything else is read from the database at each request."""

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
    generation: int
    """Must equal the user's: raising that one ends all sessions of the user."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Makes and reads tokens."""

    secret: str = field(repr=False)
    lifetime: timedelta

    def issue(self, claims: Claims, now: datetime) -> tuple[str, datetime]:
        """Return a token and when it ends."""
        expires_at = (now + self.lifetime).replace(microsecond=0)
        payload = {"iss": _ISSUER, "sub": str(claims.user_id), "gen": claims.generation, "iat": now, "exp": expires_at}
        return jwt.encode(payload, self.secret, _ALGORITHM), expires_at

    def read(self, token: str, now: datetime) -> Claims | None:
        """Return the claims; None for anything that is not a valid token of ours at this time."""
        if len(token) > _MAX_LENGTH:
            return None
        options: jwt.types.Options = {"require": ["iss", "sub", "gen", "iat", "exp"], "verify_exp": False, "verify_iat": False}
        try:
            payload = jwt.decode(token, self.secret, [_ALGORITHM], options, issuer=_ISSUER)
            claims = Claims(UUID(payload["sub"]), int(payload["gen"]))
            expires_at = datetime.fromtimestamp(payload["exp"], UTC)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            return None
        return claims if now < expires_at else None
