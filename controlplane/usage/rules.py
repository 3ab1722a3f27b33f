"""Rules of the ledger: pure functions over events."""

import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from ias.ids import uuid7_ms
from ias.usage_event import Outcome, RequestRecorded

MAX_COUNT = 2**53 - 1
"""Counts above it are not counts, and JSON readers would round them."""

MAX_TOKENS = 2**40
"""Of one request; sums of millions of such requests still fit into 64 bits."""

MAX_REQUEST_ID = 200
"""Characters of a request id that are kept; clients may choose it, and it is indexed."""

_CANONICAL_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "held_tokens")
_COUNTS = ("epoch", "http_status", "duration_ms", "time_to_first_token_ms")
_TEXTS = ("model", "upstream_model", "request_id")


def check(event: RequestRecorded) -> None:
    """Raise ValueError for an event that the ledger cannot keep: ids that are none, times outside the calendar."""
    for value in (event.event_id, event.org_id, event.user_id, event.key_id, event.publication_id):
        if not _CANONICAL_ID.fullmatch(value):
            raise ValueError("an id is not a UUID in canonical form")
    instant(uuid7_ms(uuid.UUID(event.event_id)))
    instant(event.ended_at_ms)


def cleaned(event: RequestRecorded) -> RequestRecorded:
    """Return the event as the ledger keeps it: counts that can be counts, texts that PostgreSQL can hold."""
    changes: dict[str, object] = {}
    for names, most in ((_TOKENS, MAX_TOKENS), (_COUNTS, MAX_COUNT)):
        for name in names:
            value = getattr(event, name)
            if value is not None and not 0 <= value <= most:
                changes[name] = min(max(value, 0), most)
    if event.http_status > 999:
        changes["http_status"] = 999
    for name in _TEXTS:
        if "\0" in (text := getattr(event, name)):
            changes[name] = _text(text)
    if len(event.request_id) > MAX_REQUEST_ID:
        changes["request_id"] = _text(event.request_id)[:MAX_REQUEST_ID]
    if event.tags:
        changes["tags"] = {_text(name): _text(value) for name, value in event.tags.items()}
    return msgspec.structs.replace(event, **changes) if changes else event


def _text(value: str) -> str:
    """PostgreSQL keeps no NUL."""
    return value.replace("\0", "")


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
