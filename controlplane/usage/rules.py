"""Rules of the ledger: pure functions over events."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

from ias.ids import uuid7_ms
from ias.usage_event import Outcome, RequestRecorded

MAX_COUNT = 2**53 - 1
"""Counts above it are not counts, and JSON readers would round them."""


def check(event: RequestRecorded) -> None:
    """Raise ValueError for an event that the ledger cannot keep: ids that are none, times outside the calendar."""
    for value in (event.org_id, event.user_id, event.key_id, event.publication_id):
        uuid.UUID(value)
    event_id = uuid.UUID(event.event_id)
    if str(event_id) != event.event_id:
        raise ValueError("the event id is not in canonical form")
    instant(uuid7_ms(event_id))
    instant(event.ended_at_ms)


def instant(unix_ms: int) -> datetime:
    """Return the time in UTC, exact to the millisecond; raise ValueError outside the calendar."""
    try:
        return datetime.fromtimestamp(unix_ms // 1000, UTC).replace(microsecond=unix_ms % 1000 * 1000)
    except (OverflowError, OSError) as error:
        raise ValueError(f"time out of range: {unix_ms} ms") from error


def supersedes(new: RequestRecorded, old: RequestRecorded) -> bool:
    """Whether `new` takes the place of `old`, an event of the same id: only a real one does, and only that of a lost one."""
    return old.outcome is Outcome.LOST and new.outcome is not Outcome.LOST


def merge(events: Iterable[RequestRecorded]) -> list[RequestRecorded]:
    """Return one event for each id, in order of id.

    One statement cannot touch a row twice, and writers that lock rows in the same order cannot deadlock.
    """
    kept: dict[str, RequestRecorded] = {}
    for event in events:
        if (old := kept.get(event.event_id)) is None or supersedes(event, old):
            kept[event.event_id] = event
    return [kept[event_id] for event_id in sorted(kept)]


def last_used(events: Iterable[RequestRecorded]) -> dict[str, datetime]:
    """Return the latest admission of each key."""
    latest: dict[str, int] = {}
    for event in events:
        latest[event.key_id] = max(latest.get(event.key_id, 0), event.admitted_at_ms)
    return {key_id: instant(unix_ms) for key_id, unix_ms in latest.items()}


def count(value: int) -> int:
    """Clamp a number that an engine reported to what a count can be."""
    return min(max(value, 0), MAX_COUNT)
