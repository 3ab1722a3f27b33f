"""The unit of work: one request is one transaction, and its audit row and change-log rows commit with it.

How a domain uses it:

* A handler asks for `access: Annotated[Access, require(Permission.X)]` (`controlplane.authorization`) and hands it to a
  function of its domain's `service.py`. Nobody commits: it happens when the handler returns, before the answer is sent.
  Raise `controlplane.errors.Problem` (or anything) and all is rolled back. Never *return* an error: that would commit.
* SQL lives in the domain's `repository.py`, in a subclass of `controlplane.repository.Repository`, which is given
  `access.uow` and `access.reach` and puts the tenant filter on everything it selects, updates or deletes.
* What the data plane must learn of is announced by `uow.changed(ChangeKind.KEY, key_id)`; the row is written at the commit,
  under the lock that makes sequence order commit order. Announce what changed, once; how it changed is read from the views.
* Every POST, PUT, PATCH and DELETE that reached authentication leaves exactly one audit row. Outcome `ok` is written here
  with the change; `denied` and `failed` by `controlplane.middleware` after the rollback. The action is the route's name:
  `@router.post("/key", name="key.create")`. The payload is the request without its secrets. A service adds what the request
  does not tell, and the org that the write concerns when it is not the actor's: `uow.audit(org_id=org.id, key_id=key.id)`.
* `await uow.checkpoint()` commits what was done so far and gives the connection back: before anything slow (a password
  hash, a call to Envoy), so that ten waiting requests do not hold the whole pool. The audit row still comes at the end.
* Outside of a request (worker, commands): `async with unit_of_work(engine, Attempt("admin.bootstrap")) as uow:`; without
  an attempt nothing is audited.

An own example is `controlplane/keys/`: `router.py` (HTTP only), `service.py` (what happens), `repository.py` (SQL),
`rules.py` (pure), `schemas.py` (JSON).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Text, column, func, insert, select, true, values
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from controlplane.audit.repository import row_of
from controlplane.audit.rules import Attempt, Outcome
from controlplane.schema import change_log
from ias.gateway_views import CHANGE_LOCK, ChangeKind


class UnitOfWork:
    """One transaction. The connection is taken at the first statement, so a request that needs none takes none."""

    def __init__(self, engine: AsyncEngine, attempt: Attempt | None) -> None:
        self._engine = engine
        self._attempt = attempt
        self._connection: AsyncConnection | None = None
        self._changes: dict[tuple[ChangeKind, str], None] = {}
        self._last: list[Executable] = []

    async def execute(self, statement: Executable, values: Mapping[str, object] | None = None) -> CursorResult[Any]:
        """Run a statement inside the transaction, with the values of its parameters."""
        if self._connection is None:
            self._connection = await self._engine.connect()
        return await self._connection.execute(statement, values)

    def changed(self, kind: ChangeKind, changed_id: UUID | str) -> None:
        """Announce a change to the data plane when this commits."""
        self._changes[kind, str(changed_id)] = None

    def with_commit(self, statement: Executable) -> None:
        """Run a statement as the last thing of the transaction that ends this well."""
        self._last.append(statement)

    def acts_for(self, user_id: UUID, org_id: UUID | None) -> None:
        """Name the actor: authentication does."""
        if self._attempt is not None:
            self._attempt.reached_authentication = True
            self._attempt.user_id, self._attempt.org_id = user_id, org_id

    def tried_to_sign_in(self, org_id: UUID | None) -> None:
        """Note a failed sign-in: it has no actor, and an org only when the account exists."""
        if self._attempt is not None:
            self._attempt.reached_authentication = True
            self._attempt.org_id = org_id

    def audit(self, *, org_id: UUID | None = None, **facts: object) -> None:
        """Add facts to this write's audit row; `org_id` is the org that it concerns, whose admins will see the row."""
        if self._attempt is not None:
            self._attempt.org_id = org_id or self._attempt.org_id
            self._attempt.payload |= facts

    async def checkpoint(self) -> None:
        """Commit what was done so far, its change-log rows included, and give the connection back."""
        if self._changes:
            await self.execute(_announcement([(kind.value, changed_id) for kind, changed_id in self._changes]))
        if self._connection is not None:
            await self._connection.commit()
        self._changes.clear()
        await self._release()

    async def commit(self) -> None:
        """End well: what was put off, the audit row of the write, then the commit."""
        for statement in self._last:
            await self.execute(statement)
        if self._attempt is not None:
            await self.execute(row_of(self._attempt, Outcome.OK))
        await self.checkpoint()
        if self._attempt is not None:
            self._attempt.recorded = True

    async def close(self) -> None:
        """Roll back whatever was not committed."""
        self._changes.clear()
        await self._release()

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.shield(connection.close())


def _announcement(changes: list[tuple[str, str]]) -> Executable:
    """Take the lock and write the rows in one statement: all writers wait for each other here, so it is held for one round trip less.

    A row gets its number when it comes out of the join, so not before the lock is there.
    """
    turn = select(func.pg_advisory_xact_lock(CHANGE_LOCK).label("taken")).cte("turn")
    rows = values(column("kind", Text), column("id", Text), name="announced").data(changes)
    return insert(change_log).from_select(["kind", "id"], select(rows.c.kind, rows.c.id).select_from(turn.join(rows, true())))


@asynccontextmanager
async def unit_of_work(engine: AsyncEngine, attempt: Attempt | None = None) -> AsyncIterator[UnitOfWork]:
    """Commit when the block ends, roll back when it raises."""
    uow = UnitOfWork(engine, attempt)
    try:
        yield uow
        await uow.commit()
    finally:
        await uow.close()


async def record_failure(engine: AsyncEngine, attempt: Attempt, outcome: Outcome) -> None:
    """Write the audit row of a write that was rolled back, in a transaction of its own."""
    async with engine.begin() as connection:
        await connection.execute(row_of(attempt, outcome))
    attempt.recorded = True
