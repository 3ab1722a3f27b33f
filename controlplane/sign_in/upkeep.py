"""Removes what ended: sessions, password resets, counted attempts."""

import asyncio
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.repository import EVERYTHING
from controlplane.sign_in.repository import SessionRepository
from controlplane.unit_of_work import unit_of_work
from ias import logs

log = logs.get(__name__)

_EVERY_S = 60


async def clean_forever(engine: AsyncEngine) -> None:
    """Clean once a minute; a database that is away is waited for."""
    while True:
        try:
            async with unit_of_work(engine) as uow:
                await SessionRepository(uow, EVERYTHING).clean(datetime.now(UTC))
        except (SQLAlchemyError, OSError):
            log.warning("ended sessions are not removed now", exc_info=True)
        await asyncio.sleep(_EVERY_S)
