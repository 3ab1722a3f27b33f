"""Brings security events from their feed into PostgreSQL, and deletes them when they are old."""

import asyncio
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.repository import EVERYTHING
from controlplane.security_events.ports import FeedUnavailable, SecurityFeed
from controlplane.security_events.repository import SecurityEventRepository
from controlplane.unit_of_work import unit_of_work
from ias import logs

_POLL_S = 1.0
_RETRY_S = 5.0

log = logs.get(__name__)


class SecurityConsumer:
    """One feed, one store."""

    def __init__(self, feed: SecurityFeed, engine: AsyncEngine) -> None:
        self._feed = feed
        self._engine = engine

    async def step(self) -> bool:
        """Move some events; False when there were none. Raises FeedUnavailable, and then they come again."""
        if (taken := await self._feed.take()) is None:
            return False
        if taken.events:
            try:
                async with unit_of_work(self._engine) as uow:
                    await SecurityEventRepository(uow, EVERYTHING).add(taken.events)
            except (SQLAlchemyError, OSError) as error:
                raise FeedUnavailable(f"PostgreSQL: {type(error).__name__}") from error
        await self._feed.stored(taken)
        return True

    async def forget_before(self, moment: datetime) -> int:
        """Delete old events and return how many; raise FeedUnavailable."""
        try:
            async with unit_of_work(self._engine) as uow:
                return await SecurityEventRepository(uow, EVERYTHING).delete_before(moment)
        except (SQLAlchemyError, OSError) as error:
            raise FeedUnavailable(f"PostgreSQL: {type(error).__name__}") from error

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set."""
        while not stop.is_set():
            try:
                pause = 0 if await self.step() else _POLL_S
            except FeedUnavailable as error:
                log.warning("security events wait", reason=str(error), retry_in_seconds=_RETRY_S)
                pause = _RETRY_S
            if pause:
                try:
                    async with asyncio.timeout(pause):
                        await stop.wait()
                except TimeoutError:
                    continue
        await self._feed.close()
