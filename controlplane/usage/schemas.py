"""JSON of analytics."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from controlplane.api_model import ApiModel
from controlplane.moments import Moment
from controlplane.usage.dimensions import Dimension, quantiles_ms
from controlplane.usage.repository import Filters
from controlplane.usage.rollups import DURATION_BOUNDS_MS, FIRST_TOKEN_BOUNDS_MS
from ias.endpoints import Endpoint
from ias.usage_event import Outcome

_PERCENTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}
_NAME = r"^[^\x00-\x1f\x7f]+$"


class PeriodQuery(ApiModel):
    """The period, by time of admission."""

    from_: Moment | None = Field(default=None, alias="from", description="inclusive; by default the begin of the day (UTC) 30 days before `to`")
    to: Moment | None = Field(default=None, description="exclusive; by default everything until now")


class UsageFilter(PeriodQuery):
    """The period, and what counts of it; what is left out does not narrow."""

    model: str | None = Field(default=None, max_length=200, pattern=_NAME, description="the name that clients use")
    user: UUID | None = None
    key: UUID | None = None
    publication: UUID | None = None
    endpoint: Endpoint | None = None
    outcome: Outcome | None = None

    def filters(self) -> Filters:
        """The same for the repository."""
        given = {dimension: getattr(self, dimension, None) for dimension in Dimension}
        return {dimension: value for dimension, value in given.items() if value is not None}


class UsageQuery(UsageFilter):
    """What counts, and how long the breakdowns are."""

    top: int = Field(default=50, ge=1, le=1_000, description="groups in each breakdown, those with the most tokens first")


class Interval(StrEnum):
    """Width of the points of a series, in UTC."""

    QUARTER_HOUR = "quarter_hour"
    HOUR = "hour"
    DAY = "day"

    @property
    def width(self) -> timedelta:
        """The same as a duration."""
        return {Interval.QUARTER_HOUR: timedelta(minutes=15), Interval.HOUR: timedelta(hours=1), Interval.DAY: timedelta(days=1)}[self]


class SeriesQuery(UsageFilter):
    """What counts, and into what it is cut."""

    interval: Interval = Interval.DAY
    by: Dimension | None = Field(default=None, description="a point for each interval and each of these")


class Order(StrEnum):
    """What makes a group the first."""

    TOKENS = "tokens"
    REQUESTS = "requests"
    ERRORS = "errors"


class TopQuery(UsageFilter):
    """What counts, and whose is the most."""

    by: Dimension = Dimension.MODEL
    order: Order = Order.TOKENS
    limit: int = Field(default=10, ge=1, le=1_000)


class ReportQuery(UsageFilter):
    """What counts, and what each row of the file stands for."""

    by: list[Dimension] = Field(default=[], max_length=len(Dimension), description="a row for each combination; repeatable")
    interval: Interval | None = Field(default=None, description="a row for each interval, too")


class Latency(ApiModel):
    """Of so many of a hundred requests at most so long. Estimated from a histogram; null: there was none."""

    p50_ms: int | None
    p90_ms: int | None
    p95_ms: int | None
    p99_ms: int | None


class Sums(ApiModel):
    """Cached input and reasoning tokens are parts of input and output tokens, not beside them."""

    requests: int
    errors: int = Field(description="requests that an engine failed, or whose end nobody saw")
    error_rate: float = Field(description="errors of all requests, 0 to 1")
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    reasoning_tokens: int
    latency: Latency = Field(description="from admission to the end")
    first_token: Latency = Field(description="from admission to the first token of a stream")


class ModelSums(Sums):
    """Of one model, by the name that clients use."""

    model: str


class UserSums(Sums):
    """Of one user; services that own the key of a publication are users too."""

    user_id: UUID
    username: str | None


class KeySums(Sums):
    """Of one key."""

    key_id: UUID
    name: str | None


class PublicationSums(Sums):
    """Of one publication."""

    publication_id: UUID


class EndpointSums(Sums):
    """Of one endpoint."""

    endpoint: Endpoint


class OutcomeSums(Sums):
    """Of all requests that ended in one way."""

    outcome: Outcome


class OrgSums(Sums):
    """Of one org."""

    org_id: UUID
    slug: str | None


class UsageView(ApiModel):
    """Usage of a period. A breakdown holds the groups with the most tokens first."""

    from_: datetime = Field(alias="from")
    to: datetime | None
    totals: Sums
    by_model: list[ModelSums]
    by_publication: list[PublicationSums]
    by_endpoint: list[EndpointSums]
    by_outcome: list[OutcomeSums]


class OwnUsageView(UsageView):
    """Usage of the person who asks."""

    by_key: list[KeySums]


class OrgUsageView(OwnUsageView):
    """Usage of an org."""

    by_user: list[UserSums]


class SystemUsageView(UsageView):
    """Usage of all orgs."""

    by_org: list[OrgSums]


class Point(Sums):
    """Of one interval; the first and the last may reach beyond the period, whose requests alone are counted."""

    start: datetime
    group: str | None = Field(description="of the dimension that was asked for with `by`")


class SeriesView(ApiModel):
    """Usage over time. Intervals without requests are left out."""

    from_: datetime = Field(alias="from")
    to: datetime | None
    interval: Interval
    by: Dimension | None
    points: list[Point]


class GroupSums(Sums):
    """Of one group."""

    group: str
    """An id of an org, user, key or publication; else the name itself."""
    name: str | None
    """What people call what has an id."""


class TopView(ApiModel):
    """Groups, the first one first."""

    from_: datetime = Field(alias="from")
    to: datetime | None
    by: Dimension
    order: Order
    items: list[GroupSums]


def sums_of(row: Any, **more: Any) -> dict[str, Any]:
    """Return the fields of `Sums` from a row of the repository, and more."""
    plain = ("requests", "errors", "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
    error_rate = round(float(row.errors / row.requests), 6) if row.requests else 0.0
    latencies = {"latency": _latency(row.durations, DURATION_BOUNDS_MS), "first_token": _latency(row.first_tokens, FIRST_TOKEN_BOUNDS_MS)}
    return {name: getattr(row, name) for name in plain} | {"error_rate": error_rate} | latencies | more


def _latency(counts: Sequence[int], bounds: Sequence[int]) -> dict[str, int | None]:
    return dict(zip(_PERCENTILES, quantiles_ms(counts, bounds, list(_PERCENTILES.values())), strict=True))
