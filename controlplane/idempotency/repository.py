"""SQL of idempotency keys. A row is claimed before the work, in a transaction of its own, and filled in with the work's commit."""

from sqlalchemy import ColumnElement, Executable, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.idempotency.rules import CLAIM, LIFETIME, Answer, Request
from controlplane.idempotency.tables import idempotency_keys as rows


async def claim(engine: AsyncEngine, request: Request) -> bool:
    """Take the key for a request that begins; False when it is taken. What expired, and what never ended, is free again."""
    mine = {"user_id": request.user_id, "action": request.action, "key": request.key}
    fresh = {"digest": request.digest, "status": None, "headers": None, "body": None, "made_id": None, "created_at": func.now()}
    free = or_(rows.c.created_at < func.now() - LIFETIME, (rows.c.status.is_(None)) & (rows.c.created_at < func.now() - CLAIM))
    statement = insert(rows).values(mine | fresh).on_conflict_do_update(index_elements=list(mine), set_=fresh, where=free).returning(rows.c.key)
    async with engine.begin() as connection:
        return (await connection.execute(statement)).one_or_none() is not None


async def find(engine: AsyncEngine, request: Request) -> tuple[bytes, Answer | None] | None:
    """Return the digest and the answer, None while there is none, that a key stands for; None: the key is free again."""
    async with engine.connect() as connection:
        row = (await connection.execute(select(rows).where(*_same(request)))).one_or_none()
    if row is None:
        return None
    return row.digest, None if row.status is None else Answer(row.status, row.headers, row.body, row.made_id)


def keeping(request: Request, answer: Answer) -> Executable:
    """The statement that fills a claimed row; it runs in the transaction of the work."""
    values = {"status": answer.status, "headers": dict(answer.headers), "body": answer.body, "made_id": answer.made_id}
    return update(rows).where(*_same(request)).values(values)


async def release(engine: AsyncEngine, request: Request) -> None:
    """Free the key of a request that failed."""
    async with engine.begin() as connection:
        await connection.execute(delete(rows).where(*_same(request), rows.c.status.is_(None)))


async def forget_expired(engine: AsyncEngine) -> None:
    """Delete what nobody asks for any more."""
    async with engine.begin() as connection:
        await connection.execute(delete(rows).where(rows.c.created_at < func.now() - LIFETIME))


def _same(request: Request) -> tuple[ColumnElement[bool], ...]:
    return rows.c.user_id == request.user_id, rows.c.action == request.action, rows.c.key == request.key
