"""The portal's session cookie: not readable for scripts, sent by our own pages only, over TLS where the service has it."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import Request, Response

SECURE_NAME = "__Host-ias_session"
"""With this prefix browsers take the cookie only from this very host, over TLS (RFC 6265bis §4.1.3)."""
PLAIN_NAME = "ias_session"
CSRF_HEADER = "x-csrf-token"


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """Sets, reads and removes the cookie. `secure`: the configured base URL is https."""

    secure: bool

    @property
    def name(self) -> str:
        """What the cookie is called."""
        return SECURE_NAME if self.secure else PLAIN_NAME

    def read(self, request: Request) -> str | None:
        """Return the secret in a request's cookie."""
        return request.cookies.get(self.name)

    def put(self, response: Response, secret: str, now: datetime, expires_at: datetime) -> None:
        """Have the client keep the secret until its absolute end."""
        lifetime_s = max(0, int((expires_at - now).total_seconds()))
        response.set_cookie(self.name, secret, max_age=lifetime_s, path="/", secure=self.secure, httponly=True, samesite="lax")

    def remove(self, response: Response) -> None:
        """Have the client forget it."""
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="lax")
