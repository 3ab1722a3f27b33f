"""Requests in the ledger, as the worker writes them."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from controlplane.budgets.rules import unix_ms
from controlplane.ids import new_id
from controlplane.usage.ledger_postgres import PostgresLedger
from ias.ids import uuid7
from ias.usage_event import RequestRecorded
from tests.support.usage_events import event


def used(at: datetime, tokens: int, org_id: UUID, user_id: UUID | None = None, key_id: UUID | None = None) -> RequestRecorded:
    """A request of so many tokens, some of them output."""
    return ended(str(uuid7(unix_ms(at), secrets.randbits(80))), tokens, org_id, user_id, key_id)


def ended(event_id: str, tokens: int, org_id: UUID, user_id: UUID | None = None, key_id: UUID | None = None) -> RequestRecorded:
    """The request of a reservation."""
    ids = {"org_id": str(org_id), "user_id": str(user_id or new_id()), "key_id": str(key_id or new_id())}
    counts = {"input_tokens": tokens - tokens // 3, "output_tokens": tokens // 3, "cached_input_tokens": tokens // 2, "reasoning_tokens": tokens // 4}
    return event(event_id=event_id, **ids, **counts)


@asynccontextmanager
async def ledger_of(database_url: str) -> AsyncIterator[PostgresLedger]:
    """The ledger, closed at the end."""
    ledger = PostgresLedger(database_url)
    try:
        yield ledger
    finally:
        await ledger.close()


async def write(database_url: str, *events: RequestRecorded) -> None:
    """Write events of requests that ended."""
    async with ledger_of(database_url) as ledger:
        await ledger.write(events, {})
