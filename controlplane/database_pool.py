"""The pool of connections: who waits longest gets the next one, and only so many may wait.

SQLAlchemy's own queue gives a connection that comes back to whoever asks next, and sends the one that waited to the end of the line. With 200
writers some wait for ever so, and their requests fail though the database is well.
"""

import asyncio
import contextlib
from collections import deque
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty

MAX_WAITING = 1_000
"""Requests of one process that may wait for a connection; more are sent away at once."""


class _Line(AsyncAdaptedQueue[Any]):
    """Connections that are free, or else those who wait for one, in order."""

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        super().__init__(maxsize, use_lifo)
        self._waiting: deque[asyncio.Future[Any]] = deque()

    def put_nowait(self, item: Any) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(item)
                return
        super().put_nowait(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not block or not self.empty():
            return self.get_nowait()
        if len(self._waiting) >= MAX_WAITING:
            raise Empty
        try:
            return await_only(self._wait(timeout))
        except TimeoutError as error:
            raise Empty from error

    async def _wait(self, seconds: float | None) -> Any:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(seconds):
                return await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.put_nowait(turn.result())  # it came in the moment of giving up
            else:
                turn.cancel()
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
            raise


class FairPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool with a line in front of it."""

    _queue_class = _Line
    _sqla_logger_namespace = "sqlalchemy.pool.FairPool"
    """What a pool has to tell is told where those of the library tell it, and not among our own lines."""


def drop_closed_connections(engine: AsyncEngine) -> None:
    """Have connections that the server has closed replaced when they are taken.

    asyncpg knows: asking the server each time, as `pool_pre_ping` does, is three round trips for each transaction.
    """

    @event.listens_for(engine.sync_engine, "checkout")
    def check(connection: Any, _: object, __: object) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server has closed it")
