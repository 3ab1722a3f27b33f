"""Ids of rows: UUIDv7, so that their order is the order of creation and a page can begin at one."""

import time
from uuid import UUID

from ias.ids import uuid7


def new_id() -> UUID:
    """Make an id from the wall clock."""
    return uuid7(time.time_ns() // 1_000_000)
