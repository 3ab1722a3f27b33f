"""Cursor pagination, newest first. Ids are UUIDv7, so the id of the last row shown is where the next page begins."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import Column, Row, Select

from controlplane.api_model import ApiModel
from controlplane.errors import Problem
from controlplane.unit_of_work import UnitOfWork

_T = TypeVar("_T", bound=ApiModel)


class PageQuery(ApiModel):
    """The query parameters of a list."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=100, description="`nextCursor` of the page before")


class Page(ApiModel, Generic[_T]):
    """One page of a list; `nextCursor` is null on the last one."""

    items: list[_T]
    next_cursor: str | None


async def fetch_rows(uow: UnitOfWork, statement: Select[Any], id_column: Column[Any], query: PageQuery) -> tuple[Sequence[Row[Any]], str | None]:
    """Run `statement` for one page; return its rows and the cursor of the next. Raises Problem for a cursor that is not ours."""
    if query.cursor is not None:
        statement = statement.where(id_column < _decode(query.cursor))
    rows = (await uow.execute(statement.order_by(id_column.desc()).limit(query.limit + 1))).all()
    shown = rows[: query.limit]
    return shown, _encode(shown[-1].id) if len(rows) > query.limit else None


async def fetch_page(uow: UnitOfWork, statement: Select[Any], id_column: Column[Any], query: PageQuery, view: type[_T]) -> Page[_T]:
    """Run `statement` for one page; raise Problem for a cursor that is not ours."""
    rows, next_cursor = await fetch_rows(uow, statement, id_column, query)
    return Page[_T](items=[view.model_validate(row) for row in rows], next_cursor=next_cursor)


def _encode(last: UUID) -> str:
    return base64.urlsafe_b64encode(last.bytes).rstrip(b"=").decode()


def _decode(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise Problem(400, "invalid_cursor", "The cursor is not one that this API gave out: start again without it.") from None
