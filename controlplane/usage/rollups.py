"""Rollups: what a change of the ledger adds to the sums of its quarter hour, its hour, its day and its week. Pure arithmetic over events."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from operator import add
from typing import NamedTuple

from controlplane.usage.dimensions import ERRORS, Dimension
from controlplane.usage.periods import ORIGIN, WIDTHS, Grain
from controlplane.usage.rules import instant
from ias.usage_event import RequestRecorded

DURATION_BOUNDS_MS = (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000)
"""Upper bounds (inclusive) of the histogram of durations; one more bucket is for all that took longer."""

FIRST_TOKEN_BOUNDS_MS = (20, 40, 60, 80, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000)
"""The same for the time to the first token of streams that had one (from 20 ms on, OpenTelemetry's bounds for it)."""

WIDTHS_MS = {grain: width // timedelta(milliseconds=1) for grain, width in WIDTHS.items()}
_ORIGIN_MS = int(ORIGIN.timestamp() * 1000)
_QUARTER_HOUR_MS = WIDTHS_MS[Grain.QUARTER_HOUR]

_COUNT_NAMES = ("requests", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")


class Rollup(NamedTuple):
    """A table of sums: the time that a row stands for, and what rows keep apart."""

    table: str
    grain: Grain
    dimensions: tuple[Dimension, ...]

    @property
    def counts(self) -> tuple[str, ...]:
        """Its sums beside the histograms. Where outcomes are not kept apart, errors are counted."""
        return _COUNT_NAMES if Dimension.OUTCOME in self.dimensions else (*_COUNT_NAMES, "errors")

    def tells(self, grain: Grain, dimensions: Iterable[Dimension]) -> bool:
        """Whether it has rows of this time that keep these apart."""
        return self.grain is grain and set(dimensions) <= set(self.dimensions)


_OF_A_MODEL = (Dimension.PUBLICATION, Dimension.MODEL, Dimension.ENDPOINT, Dimension.OUTCOME)
QUARTER_HOURS = Rollup("usage_quarter_hours", Grain.QUARTER_HOUR, tuple(Dimension))
MODEL_QUARTER_HOURS = Rollup("usage_model_quarter_hours", Grain.QUARTER_HOUR, _OF_A_MODEL)
ROLLUPS = (
    QUARTER_HOURS,
    Rollup("usage_days", Grain.DAY, tuple(Dimension)),
    Rollup("usage_org_model_quarter_hours", Grain.QUARTER_HOUR, (Dimension.ORG, *_OF_A_MODEL)),
    Rollup("usage_org_hours", Grain.HOUR, (Dimension.ORG,)),
    Rollup("usage_org_model_days", Grain.DAY, (Dimension.ORG, *_OF_A_MODEL)),
    Rollup("usage_org_days", Grain.DAY, (Dimension.ORG,)),
    Rollup("usage_org_weeks", Grain.WEEK, (Dimension.ORG,)),
    MODEL_QUARTER_HOURS,
    Rollup("usage_hours", Grain.HOUR, ()),
    Rollup("usage_model_days", Grain.DAY, _OF_A_MODEL),
)
"""From the longest to the shortest, but those of hours and weeks follow what they are sums of, as triggers write them for who does not know them.

Writers go through them in this order, so that rows which all of them need are locked last and shortest.
"""


class Group(NamedTuple):
    """The requests of one period that are summed up in one row. What a rollup does not keep apart is empty."""

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
    errors: int
    durations: tuple[int, ...]
    first_tokens: tuple[int, ...]


_COUNTS = 6
_FIRST_TOKENS = _COUNTS + len(DURATION_BOUNDS_MS) + 1
_WIDTH = _FIRST_TOKENS + len(FIRST_TOKEN_BOUNDS_MS) + 1


def quarter_hours(added: Iterable[RequestRecorded], removed: Iterable[RequestRecorded] = ()) -> dict[Group, Sums]:
    """Return what to add to each row of `QUARTER_HOURS`, in the order in which every writer locks the rows."""
    totals: dict[Group, list[int]] = {}
    for sign, events in ((1, added), (-1, removed)):
        for event in events:
            admitted = event.admitted_at_ms
            group = Group(
                event.org_id,
                admitted - admitted % _QUARTER_HOUR_MS,
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
            total[5] += sign * (event.outcome in ERRORS)
            total[_COUNTS + bisect_left(DURATION_BOUNDS_MS, event.duration_ms)] += sign
            if (first := event.time_to_first_token_ms) is not None:
                total[_FIRST_TOKENS + bisect_left(FIRST_TOKEN_BOUNDS_MS, first)] += sign
    return {group: _sums(totals[group]) for group in sorted(totals)}


def fold(finer: Mapping[Group, Sums], rollup: Rollup) -> dict[Group, Sums]:
    """Return the same for a rollup of longer periods or fewer dimensions, in the order in which every writer locks the rows."""
    width_ms = WIDTHS_MS[rollup.grain]
    left_out = dict.fromkeys((dimension.column for dimension in Dimension if dimension not in rollup.dimensions), "")
    totals: dict[Group, Sums] = {}
    for group, sums in finer.items():
        coarser = group._replace(period_ms=group.period_ms - (group.period_ms - _ORIGIN_MS) % width_ms, **left_out)
        known = totals.get(coarser)
        totals[coarser] = sums if known is None else _plus(known, sums)
    return {group: totals[group] for group in sorted(totals)}


def roll_up(added: Iterable[RequestRecorded], removed: Iterable[RequestRecorded] = ()) -> dict[Rollup, dict[Group, Sums]]:
    """Return what to add to each of `ROLLUPS`, in their order."""
    found = {QUARTER_HOURS: quarter_hours(added, removed)}
    for rollup in ROLLUPS[1:]:
        # Of those before that it is a sum of, the last one is the shortest.
        *_, finer = (one for one in found if set(rollup.dimensions) <= set(one.dimensions) and WIDTHS_MS[one.grain] <= WIDTHS_MS[rollup.grain])
        found[rollup] = fold(found[finer], rollup)
    return found


def _plus(one: Sums, other: Sums) -> Sums:
    return Sums(
        one.requests + other.requests,
        one.input_tokens + other.input_tokens,
        one.cached_input_tokens + other.cached_input_tokens,
        one.output_tokens + other.output_tokens,
        one.reasoning_tokens + other.reasoning_tokens,
        one.errors + other.errors,
        tuple(map(add, one.durations, other.durations)),
        tuple(map(add, one.first_tokens, other.first_tokens)),
    )


def _sums(numbers: list[int]) -> Sums:
    requests, inputs, cached, outputs, reasoning, errors = numbers[:_COUNTS]
    return Sums(requests, inputs, cached, outputs, reasoning, errors, tuple(numbers[_COUNTS:_FIRST_TOKENS]), tuple(numbers[_FIRST_TOKENS:]))
