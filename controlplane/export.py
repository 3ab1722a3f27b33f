"""Lists as CSV, streamed: pages are read one after the other, each in a short transaction, so that a slow client holds no connection."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi.responses import StreamingResponse
from sqlalchemy import Column, Row, Select
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.unit_of_work import unit_of_work
from ias.csv_cells import lines

_PAGE = 1_000


class CsvResponse(StreamingResponse):
    """A file of CSV."""

    media_type = "text/csv"

    @classmethod
    def of(cls, name: str, header: Sequence[str], pages: AsyncIterator[Sequence[Sequence[object]]]) -> "CsvResponse":
        """Answer with a header and the rows of all pages."""

        async def text() -> AsyncIterator[str]:
            yield lines([header])
            async for rows in pages:
                yield lines(rows)

        return cls(text(), headers={"content-disposition": f'attachment; filename="{name}.csv"'})


async def walk(engine: AsyncEngine, statement: Select[Any], id_column: Column[Any]) -> AsyncIterator[Sequence[Row[Any]]]:
    """Read all rows of a list, newest first, page by page; ids are in the order of time."""
    last = None
    while True:
        query = statement if last is None else statement.where(id_column < last)
        async with unit_of_work(engine) as uow:
            rows = (await uow.execute(query.order_by(id_column.desc()).limit(_PAGE))).all()
        if rows:
            yield rows
        if len(rows) < _PAGE:
            return
        last = rows[-1].id
