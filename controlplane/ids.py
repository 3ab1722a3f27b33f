"""Ids of rows: UUIDv7, so that their order is the order of creation and a page can begin at one."""

import time
from datetime import datetime
from uuid import UUID

from ias.ids import uuid7


def new_id() -> UUID:
    """Make an id from the wall clock."""
    return uuid7(time.time_ns() // 1_000_000)


def first_id(moment: datetime) -> UUID:
    """Return the lowest id of a time: a period of a list is a range of its ids, which have an index."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
