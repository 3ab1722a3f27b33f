"""Rules of the ledger: pure functions over events."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from ias.usage_event import Outcome, RequestRecorded

MAX_COUNT = 2**53 - 1
"""Counts above it are not counts, and JSON readers would round them."""

MAX_TOKENS = 2**40
"""Of one request; sums of millions of such requests still fit into 64 bits."""

MAX_STATUS = 999
MAX_REQUEST_ID = 200
"""Characters of a request id that are kept; clients may choose it, and it is indexed."""

_CANONICAL_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CALENDAR_END_MS = 253_402_300_800_000
"""Year 10000."""


def check(event: RequestRecorded) -> None:
    """Raise ValueError for an event that the ledger cannot keep: ids that are none, times outside the calendar."""
    for value in (event.event_id, event.org_id, event.user_id, event.key_id, event.publication_id):
        if not _CANONICAL_ID.fullmatch(value):
            raise ValueError("an id is not a UUID in canonical form")
    if event.event_id[14] != "7":
        raise ValueError("the event id is not a UUIDv7")
    if event.admitted_at_ms >= _CALENDAR_END_MS or not 0 <= event.ended_at_ms < _CALENDAR_END_MS:
        raise ValueError("a time is outside of the calendar")


def cleaned(event: RequestRecorded) -> RequestRecorded:
    """Return the event as the ledger keeps it: counts that can be counts, texts that PostgreSQL can hold."""
    return event if _is_clean(event) else _clean(event)


def _is_clean(event: RequestRecorded) -> bool:
    """Almost every event is: this is all that is asked of it."""
    tokens = (event.input_tokens, event.cached_input_tokens, event.output_tokens, event.reasoning_tokens, event.held_tokens)
    counts = (event.duration_ms, event.time_to_first_token_ms or 0)
    return (
        min(tokens) >= 0
        and max(tokens) <= MAX_TOKENS
        and min(counts) >= 0
        and max(counts) <= MAX_COUNT
        and 0 <= event.http_status <= MAX_STATUS
        and len(event.request_id) <= MAX_REQUEST_ID
        and "\0" not in event.request_id
        and "\0" not in event.model
        and "\0" not in event.upstream_model
        and not event.tags
    )


def _clean(event: RequestRecorded) -> RequestRecorded:
    first = event.time_to_first_token_ms
    return msgspec.structs.replace(
        event,
        model=_text(event.model),
        upstream_model=_text(event.upstream_model),
        http_status=_between(event.http_status, MAX_STATUS),
        input_tokens=_between(event.input_tokens, MAX_TOKENS),
        cached_input_tokens=_between(event.cached_input_tokens, MAX_TOKENS),
        output_tokens=_between(event.output_tokens, MAX_TOKENS),
        reasoning_tokens=_between(event.reasoning_tokens, MAX_TOKENS),
        held_tokens=_between(event.held_tokens, MAX_TOKENS),
        time_to_first_token_ms=None if first is None else _between(first, MAX_COUNT),
        duration_ms=_between(event.duration_ms, MAX_COUNT),
        request_id=_text(event.request_id)[:MAX_REQUEST_ID],
        tags={_text(name): _text(value) for name, value in event.tags.items()},
    )


def _between(value: int, most: int) -> int:
    return min(max(value, 0), most)


def _text(value: str) -> str:
    """PostgreSQL keeps no NUL."""
    return value.replace("\0", "")


def instant(unix_ms: int) -> datetime:
    """Return the time in UTC, exact to the millisecond; raise ValueError outside the calendar."""
    try:
        return _EPOCH + timedelta(milliseconds=unix_ms)
    except OverflowError as error:
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
