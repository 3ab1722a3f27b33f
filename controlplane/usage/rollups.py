"""Rollups: what a change of the ledger adds to the sums of its quarter hour and its day. Pure arithmetic over events."""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from controlplane.usage.rules import instant
from ias.usage_event import RequestRecorded

DURATION_BOUNDS_MS = (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000)
"""Upper bounds (inclusive) of the histogram of durations; one more bucket is for all that took longer."""

FIRST_TOKEN_BOUNDS_MS = (20, 40, 60, 80, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000)
"""The same for the time to the first token of streams that had one (from 20 ms on, OpenTelemetry's bounds for it)."""

QUARTER_HOUR_MS = 15 * 60 * 1_000
DAY_MS = 24 * 60 * 60 * 1_000


class Group(NamedTuple):
    """The requests of one period that are summed up in one row."""

    org_id: str
    period_ms: int
    key_id: str
    publication_id: str
    user_id: str
    model: str
    endpoint: str
    outcome: str

    @property
    def period_start(self) -> datetime:
        """Begin of the period, UTC."""
        return instant(self.period_ms)


class Sums(NamedTuple):
    """What is added to a row; negative where something is taken back."""

    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    durations: tuple[int, ...]
    first_tokens: tuple[int, ...]


_COUNTS = 5
_FIRST_TOKENS = _COUNTS + len(DURATION_BOUNDS_MS) + 1
_WIDTH = _FIRST_TOKENS + len(FIRST_TOKEN_BOUNDS_MS) + 1


def quarter_hours(added: Iterable[RequestRecorded], removed: Iterable[RequestRecorded] = ()) -> dict[Group, Sums]:
    """Return what to add to each row of quarter hours, in the order in which every writer locks the rows."""
    totals: dict[Group, list[int]] = {}
    for sign, events in ((1, added), (-1, removed)):
        for event in events:
            admitted = event.admitted_at_ms
            group = Group(
                event.org_id,
                admitted - admitted % QUARTER_HOUR_MS,
                event.key_id,
                event.publication_id,
                event.user_id,
                event.model,
                event.endpoint,
                event.outcome,
            )
            if (total := totals.get(group)) is None:
                total = totals[group] = [0] * _WIDTH
            total[0] += sign
            total[1] += sign * event.input_tokens
            total[2] += sign * event.cached_input_tokens
            total[3] += sign * event.output_tokens
            total[4] += sign * event.reasoning_tokens
            total[_COUNTS + bisect_left(DURATION_BOUNDS_MS, event.duration_ms)] += sign
            if (first := event.time_to_first_token_ms) is not None:
                total[_FIRST_TOKENS + bisect_left(FIRST_TOKEN_BOUNDS_MS, first)] += sign
    return _sorted(totals)


def days(quarters: dict[Group, Sums]) -> dict[Group, Sums]:
    """Return the same for whole days."""
    totals: dict[Group, list[int]] = {}
    for group, sums in quarters.items():
        day = group._replace(period_ms=group.period_ms - group.period_ms % DAY_MS)
        numbers = _numbers(sums)
        totals[day] = [a + b for a, b in zip(totals[day], numbers, strict=True)] if day in totals else numbers
    return _sorted(totals)


def _numbers(sums: Sums) -> list[int]:
    return [
        sums.requests,
        sums.input_tokens,
        sums.cached_input_tokens,
        sums.output_tokens,
        sums.reasoning_tokens,
        *sums.durations,
        *sums.first_tokens,
    ]


def _sorted(totals: dict[Group, list[int]]) -> dict[Group, Sums]:
    found: dict[Group, Sums] = {}
    for group in sorted(totals):
        numbers = totals[group]
        requests, inputs, cached, outputs, reasoning = numbers[:_COUNTS]
        found[group] = Sums(requests, inputs, cached, outputs, reasoning, tuple(numbers[_COUNTS:_FIRST_TOKENS]), tuple(numbers[_FIRST_TOKENS:]))
    return found
