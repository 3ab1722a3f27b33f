"""SQL of sign-in: sessions, and what is counted of attempts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, insert, not_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or

from controlplane.accounts.repository import ACTIVE
from controlplane.repository import Repository
from controlplane.schema import orgs, users
from controlplane.sign_in.back_off import Counted, Record
from controlplane.sign_in.tables import password_resets, sessions, sign_in_attempts

_CLEANED_AT_ONCE = 5000
SHOWN = ("id", "kind", "client_address", "user_agent", "created_at", "last_used_at", "expires_at")
"""What people see of their sessions."""


class SessionRepository(Repository):
    """Sessions. One lives until it is ended, is idle for too long, reaches its absolute end, or its user's generation moves on."""

    async def add(self, session: Mapping[str, object]) -> None:
        """Insert a session."""
        await self.uow.execute(insert(sessions).values(session))

    async def of_token(self, session_id: UUID, user_id: UUID, now: datetime) -> Row[Any] | None:
        """The user of a token's living session, as a row of users with `session_id` and times of the session."""
        named = (sessions.c.id == session_id, sessions.c.user_id == user_id, sessions.c.kind == "token")
        return (await self.uow.execute(self._living(now).where(*named))).one_or_none()

    async def of_cookie(self, secret_hash: bytes, now: datetime) -> Row[Any] | None:
        """The same for a cookie."""
        return (await self.uow.execute(self._living(now).where(sessions.c.secret_hash == secret_hash))).one_or_none()

    def living_of(self, user_id: UUID, current: UUID, now: datetime) -> Select[Any]:
        """The living sessions of a user; one of them is that of this request."""
        of_a_list = (*(sessions.c[name] for name in SHOWN), (sessions.c.id == current).label("current"))
        return self.visible(users, *of_a_list).join(sessions, sessions.c.user_id == users.c.id).where(users.c.id == user_id, *_alive(now))

    async def touch(self, session_id: UUID, now: datetime, idle_until: datetime | None) -> None:
        """Note that it is used, and put off the end of a cookie by idleness."""
        later = {"last_used_at": now} | ({"idle_until": idle_until} if idle_until else {})
        await self.uow.execute(update(sessions).where(sessions.c.id == session_id).values(later))

    async def end(self, session_id: UUID) -> None:
        """End one session."""
        await self.uow.execute(update(sessions).where(sessions.c.id == session_id).values(ended_at=func.now()))

    async def end_own(self, user_id: UUID, session_id: UUID, now: datetime) -> bool:
        """End one session of a user; False: there is none of that id that has not ended."""
        living = (sessions.c.id == session_id, sessions.c.user_id == user_id, sessions.c.ended_at.is_(None), sessions.c.expires_at > now)
        ended = await self.uow.execute(update(sessions).where(*living).values(ended_at=now).returning(sessions.c.id))
        return ended.one_or_none() is not None

    async def end_all_of(self, user_id: UUID, but: UUID | None = None) -> None:
        """End all sessions of a user, those of tokens of former versions too; `but` goes on."""
        raised = (
            self.update(users).where(users.c.id == user_id).values(token_generation=users.c.token_generation + 1).returning(users.c.token_generation)
        )
        generation = (await self.uow.execute(raised)).scalar_one()
        if but is not None:
            await self.uow.execute(update(sessions).where(sessions.c.id == but).values(generation=generation))

    async def clean(self, now: datetime) -> None:
        """Delete what means nothing any more: sessions, resets and attempts."""
        for table, end in ((sessions, sessions.c.expires_at), (password_resets, password_resets.c.expires_at)):
            await self.uow.execute(delete(table).where(table.c.id.in_(select(table.c.id).where(end < now).limit(_CLEANED_AT_ONCE))))
        old = select(sign_in_attempts.c.subject).where(sign_in_attempts.c.keep_until < now).limit(_CLEANED_AT_ONCE)
        await self.uow.execute(delete(sign_in_attempts).where(sign_in_attempts.c.subject.in_(old.with_for_update(skip_locked=True))))

    def _living(self, now: datetime) -> Select[Any]:
        session = (sessions.c.id.label("session_id"), sessions.c.kind, sessions.c.last_used_at, sessions.c.idle_until, sessions.c.expires_at)
        joined = (
            self.visible(users, users, *session)
            .join(sessions, sessions.c.user_id == users.c.id)
            .join(orgs, orgs.c.id == users.c.org_id, isouter=True)
        )
        return joined.where(ACTIVE, *_alive(now))


def _alive(now: datetime) -> tuple[ColumnElement[bool], ...]:
    idle = and_(sessions.c.idle_until.is_not(None), sessions.c.idle_until <= now)
    return (sessions.c.ended_at.is_(None), sessions.c.expires_at > now, not_(idle), sessions.c.generation == users.c.token_generation)


class AttemptRepository(Repository):
    """What is counted of attempts to sign in; locked from reading to the end of the transaction."""

    async def records(self, subjects: Mapping[Counted, bytes], now: datetime) -> dict[Counted, Record]:
        """Return the records, new ones where there were none; locks them in one order, so that nobody waits for each other."""
        ordered: Sequence[bytes] = sorted(subjects.values())
        fresh = [{"subject": subject, "failures": 0, "not_before": now, "keep_until": now} for subject in ordered]
        await self.uow.execute(insert_or(sign_in_attempts).values(fresh).on_conflict_do_nothing())
        locked = select(sign_in_attempts).where(sign_in_attempts.c.subject.in_(ordered)).order_by(sign_in_attempts.c.subject).with_for_update()
        rows = {row.subject: row for row in await self.uow.execute(locked)}
        return {kind: Record(rows[key].failures, rows[key].not_before, rows[key].known_until) for kind, key in subjects.items()}

    async def store(self, subjects: Mapping[Counted, bytes], records: Mapping[Counted, Record], now: datetime) -> None:
        """Replace records that are locked."""
        rows = [
            {
                "subject": subjects[kind],
                "failures": one.failures,
                "not_before": one.not_before,
                "known_until": one.known_until,
                "keep_until": one.keep_until(now),
            }
            for kind, one in records.items()
        ]
        statement = insert_or(sign_in_attempts).values(rows)
        new = {name: statement.excluded[name] for name in ("failures", "not_before", "known_until", "keep_until")}
        await self.uow.execute(statement.on_conflict_do_update(index_elements=["subject"], set_=new))


class ResetRepository(Repository):
    """Links that set a password once."""

    async def count_since(self, user_id: UUID, since: datetime) -> int:
        """How many were made for a user."""
        made = select(func.count()).select_from(password_resets).where(password_resets.c.user_id == user_id, password_resets.c.created_at > since)
        count: int = (await self.uow.execute(made)).scalar_one()
        return count

    async def add(self, reset_id: UUID, user_id: UUID, token_hash: bytes, expires_at: datetime) -> None:
        """Insert one."""
        await self.uow.execute(insert(password_resets).values(id=reset_id, user_id=user_id, token_hash=token_hash, expires_at=expires_at))

    async def void_all_of(self, user_id: UUID, now: datetime) -> None:
        """Make all that are left worthless."""
        unused = update(password_resets).where(password_resets.c.user_id == user_id, password_resets.c.used_at.is_(None))
        await self.uow.execute(unused.values(used_at=now))

    async def open_with(self, token_hash: bytes, now: datetime) -> Row[Any] | None:
        """The user whose password a secret sets."""
        people = self.visible(users).join(orgs, orgs.c.id == users.c.org_id, isouter=True)
        found = people.join(password_resets, password_resets.c.user_id == users.c.id)
        return (await self.uow.execute(found.where(ACTIVE, self._opens(token_hash, now)))).one_or_none()

    async def use(self, token_hash: bytes, now: datetime) -> bool:
        """Use the secret up; False: somebody was quicker."""
        used = update(password_resets).where(self._opens(token_hash, now)).values(used_at=now).returning(password_resets.c.id)
        return (await self.uow.execute(used)).one_or_none() is not None

    @staticmethod
    def _opens(token_hash: bytes, now: datetime) -> ColumnElement[bool]:
        return and_(password_resets.c.token_hash == token_hash, password_resets.c.used_at.is_(None), password_resets.c.expires_at > now)
