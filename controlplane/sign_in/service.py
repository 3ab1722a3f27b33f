"""What happens at sign-in and with sessions."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row

from controlplane.accounts.passwords import Passwords
from controlplane.accounts.repository import AccountRepository
from controlplane.client_address import block_of
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.repository import EVERYTHING
from controlplane.sign_in import back_off
from controlplane.sign_in.cookies import SessionCookie
from controlplane.sign_in.repository import AttemptRepository, SessionRepository
from controlplane.sign_in.rules import Client, csrf_token, digest, is_csrf_token, new_secret
from controlplane.sign_in.schemas import LoginBody, SessionUser, SessionView
from controlplane.sign_in.tokens import Claims, Tokens
from controlplane.unit_of_work import UnitOfWork

_TOUCH = timedelta(minutes=1)
"""The use of a session is noted once in a while, not for each request."""

Kind = Literal["token", "cookie"]


@dataclass(frozen=True, slots=True)
class Sessions:
    """How sessions begin and live in this process."""

    tokens: Tokens
    cookie: SessionCookie
    lifetime: timedelta
    """Absolute end."""
    idle: timedelta
    """A cookie that is not used for so long ends."""

    async def begin(self, uow: UnitOfWork, user: Row[Any], kind: Kind, client: Client) -> "Began":
        """Begin a session of a user who has just proved who they are."""
        now = datetime.now(UTC)
        expires_at = (now + self.lifetime).replace(microsecond=0)
        session_id, secret = new_id(), new_secret() if kind == "cookie" else None
        row = {
            "id": session_id,
            "user_id": user.id,
            "kind": kind,
            "secret_hash": digest(secret) if secret else None,
            "generation": user.token_generation,
            "client_address": client.address,
            "user_agent": client.user_agent,
            "last_used_at": now,
            "idle_until": now + self.idle if secret else None,
            "expires_at": expires_at,
        }
        await SessionRepository(uow, EVERYTHING).add(row)
        uow.acts_for(user.id, user.org_id)
        if secret:
            view = self._view(user, csrf=self.csrf_token(session_id), expires_at=expires_at)
        else:
            view = self._token_view(user, session_id, now, expires_at)
        return Began(view, secret)

    def renew(self, session: Row[Any]) -> SessionView:
        """Give a new token to a session of tokens that goes on."""
        return self._token_view(session, session.session_id, datetime.now(UTC), session.expires_at)

    async def find(self, uow: UnitOfWork, token: str | None, secret: str | None) -> Row[Any] | None:
        """Return the user of a token or else of a cookie, with the session; None when there is no such session that lives."""
        repository, now = SessionRepository(uow, EVERYTHING), datetime.now(UTC)
        if token is not None:
            claims = self.tokens.read(token, now)
            session = await repository.of_token(claims.session_id, claims.user_id, now) if claims else None
            await self._touch(repository, session, now)
            return session
        session = await repository.of_cookie(digest(secret), now) if secret else None
        await self._touch(repository, session, now)
        return session

    async def _touch(self, repository: SessionRepository, session: Row[Any] | None, now: datetime) -> None:
        """Note the use of a session, once in a while."""
        if session is None:
            return
        idle_until = now + self.idle if session.kind == "cookie" else None
        ends_soon = idle_until is not None and session.idle_until < idle_until - _TOUCH
        if ends_soon or session.last_used_at is None or session.last_used_at < now - _TOUCH:
            await repository.touch(session.session_id, now, idle_until)
            await repository.uow.checkpoint()  # nobody else's request waits for the row

    def csrf_token(self, session_id: UUID) -> str:
        """Return the token that goes with a cookie."""
        return csrf_token(self.tokens.secret, session_id)

    def is_csrf_token(self, given: str, session_id: UUID) -> bool:
        """Whether a header holds it."""
        return is_csrf_token(given, self.tokens.secret, session_id)

    def _token_view(self, user: Row[Any], session_id: UUID, now: datetime, not_after: datetime) -> SessionView:
        token, expires_at = self.tokens.issue(Claims(user.id, session_id), now, not_after)
        return self._view(user, token=token, expires_at=expires_at)

    @staticmethod
    def _view(user: Row[Any], expires_at: datetime, token: str | None = None, csrf: str | None = None) -> SessionView:
        return SessionView(token=token, csrf_token=csrf, expires_at=expires_at, user=SessionUser.model_validate(user))


@dataclass(frozen=True, slots=True)
class Began:
    """A session that began; the secret is for its cookie and nowhere else."""

    view: SessionView
    secret: str | None


class Guesses:
    """The back-off of one account and address: ask before a password is checked, tell when it was right."""

    def __init__(self, uow: UnitOfWork, account: str, address: str) -> None:
        self._uow = uow
        self._repository = AttemptRepository(uow, EVERYTHING)
        self._subjects = back_off.subjects(account, block_of(address))

    async def admit(self) -> None:
        """Count the attempt and commit that; raise Problem 429 when attempts come too fast."""
        records = await self._repository.records(self._subjects, datetime.now(UTC))
        now = datetime.now(UTC)  # whoever came first had the records meanwhile
        if (wait_s := back_off.wait_s(records, now)) > 0:
            seconds = math.ceil(wait_s)
            raise Problem(429, "too_many_attempts", f"Too many attempts. Try again in {seconds} s.", headers={"retry-after": str(seconds)})
        await self._repository.store(self._subjects, back_off.attempted(records, now), now)
        await self._uow.checkpoint()

    async def succeeded(self) -> None:
        """Take the attempt back."""
        now = datetime.now(UTC)
        records = await self._repository.records(self._subjects, now)
        await self._repository.store(self._subjects, back_off.succeeded(records, now), now)
        await self._uow.checkpoint()


async def sign_in(uow: UnitOfWork, body: LoginBody, client: Client, sessions: Sessions, passwords: Passwords) -> Began:
    """Check a password and begin a session; raise Problem 401 without saying what was wrong, 429 when guesses come too fast."""
    guesses = Guesses(uow, body.username, client.address)
    await guesses.admit()
    accounts = AccountRepository(uow, EVERYTHING)
    user = await accounts.active_person_called(body.username)
    await uow.checkpoint()
    password = body.password.get_secret_value()
    if not await passwords.verify(user.password_hash if user else None, password) or user is None:
        uow.tried_to_sign_in(user.org_id if user else None)
        raise Problem(401, "invalid_credentials", "The user name or the password is wrong.")
    await guesses.succeeded()
    if passwords.outdated(user.password_hash):
        await accounts.store_hash(user.id, await passwords.hash(password))
    return await sessions.begin(uow, user, body.session, client)
