"""Ends the orgs whose time to be restored is over."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.audit.rules import Attempt
from controlplane.orgs.repository import OrgRepository
from controlplane.orgs.service import purge
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import unit_of_work
from ias import logs

log = logs.get(__name__)

_EVERY_S = 60


class _NothingIsDue(Exception):
    """Ends a transaction that has nothing to commit, not even an audit row."""


async def purge_due(engine: AsyncEngine, now: datetime) -> int:
    """Purge all that are due, each in its own transaction with its own audit row; return how many."""
    count = 0
    with suppress(_NothingIsDue):
        while True:
            log.info("org is purged", org_id=str(await _purge_one(engine, now)))
            count += 1
    return count


async def _purge_one(engine: AsyncEngine, now: datetime) -> UUID:
    async with unit_of_work(engine, Attempt("org.purge")) as uow:
        org_id = await OrgRepository(uow, EVERYTHING).due(now)
        if org_id is None:
            raise _NothingIsDue
        await purge(uow, org_id)
        uow.audit(org_id=org_id, target_org_id=str(org_id))
    return org_id


async def purge_forever(engine: AsyncEngine) -> None:
    """Do so once a minute; a database that is away is waited for."""
    while True:
        try:
            await purge_due(engine, datetime.now(UTC))
        except (SQLAlchemyError, OSError):
            log.warning("deleted orgs are not purged now", exc_info=True)
        await asyncio.sleep(_EVERY_S)
