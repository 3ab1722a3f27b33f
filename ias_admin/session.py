"""What every command works with: which control plane is meant, and who speaks to it."""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import httpx2
import typer

from ias_admin import config, manners
from ias_admin.client import Client
from ias_admin.errors import CommandFailed, ExitCode

_RENEWED_BEFORE = timedelta(minutes=40)
"""A token that has less time left is renewed when it is used."""


@dataclass(frozen=True, slots=True)
class Session:
    """Address and token in effect: option, then environment, then context, then default."""

    context: str
    url: str
    token: str
    transport: httpx2.BaseTransport | None = None

    def client(self) -> Client:
        """Return a client that is signed in, if anyone is."""
        return Client(self.url, self.token, self.transport, dry_run=manners.current().dry_run)


def open_session(url: str | None, context: str | None, transport: httpx2.BaseTransport | None = None) -> Session:
    """Decide what is in effect. A context's token is sent to the context's own address only."""
    known = config.load()
    name = context or known.current
    chosen = known.contexts.get(name)
    address = (url or (chosen.url if chosen else config.DEFAULT_URL)).rstrip("/")
    token = os.environ.get("IAS_ADMIN_TOKEN", "")
    if not token and chosen and chosen.url == address:
        token = chosen.token
    return Session(name, address, token, transport)


def session_of(context: typer.Context) -> Session:
    """Return the session that the root command opened."""
    session = context.obj
    assert isinstance(session, Session)
    return session


def client_of(context: typer.Context) -> Client:
    """Return a client of the session that the root command opened, with a token that has time left where it can be renewed. Raises CommandFailed."""
    session = session_of(context)
    known = config.load()
    if not session.token and session.context not in {*known.contexts, known.current}:
        name = session.context
        raise CommandFailed(f"There is no context '{name}'. Make it: ias-admin --context {name} --url URL login", ExitCode.NOT_FOUND)
    kept = known.contexts.get(session.context)
    if kept is None or kept.token != session.token or manners.current().dry_run or not _ends_soon(kept.expires_at, datetime.now(UTC)):
        return session.client()
    try:
        answer = session.client().post("/session/renew")
    except CommandFailed:
        return session.client()  # the command itself says what is wrong
    kept.token, kept.expires_at = answer["token"], answer["expiresAt"]
    config.save(known)
    return replace(session, token=kept.token).client()


def _ends_soon(expires_at: str, now: datetime) -> bool:
    """Whether a token has not ended yet, and will before long."""
    try:
        left = datetime.fromisoformat(expires_at) - now
    except (ValueError, TypeError):
        return False
    return timedelta() < left < _RENEWED_BEFORE
