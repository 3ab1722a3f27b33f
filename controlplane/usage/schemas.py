"""JSON of analytics."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, Field

from controlplane.api_model import ApiModel
from ias.endpoints import Endpoint
from ias.usage_event import Outcome, UsageSource

RequestId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class PeriodQuery(ApiModel):
    """The period, by time of admission."""

    from_: AwareDatetime | None = Field(default=None, alias="from", description="inclusive; by default 30 days before `to`")
    to: AwareDatetime | None = Field(default=None, description="exclusive; by default everything until now")


class Interval(StrEnum):
    """Width of the points of a series, in UTC."""

    QUARTER_HOUR = "quarter_hour"
    HOUR = "hour"
    DAY = "day"

    @property
    def width(self) -> timedelta:
        """The same as a duration."""
        return {Interval.QUARTER_HOUR: timedelta(minutes=15), Interval.HOUR: timedelta(hours=1), Interval.DAY: timedelta(days=1)}[self]


class SeriesQuery(PeriodQuery):
    """The period, and into what it is cut."""

    interval: Interval = Interval.DAY


class Sums(ApiModel):
    """Cached input and reasoning tokens are parts of input and output tokens, not beside them."""

    requests: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    reasoning_tokens: int


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


class OutcomeSums(Sums):
    """Of all requests that ended in one way."""

    outcome: Outcome


class OrgSums(Sums):
    """Of one org."""

    org_id: UUID
    slug: str | None


class UsageView(ApiModel):
    """Usage of a period. A breakdown holds at most 1,000 groups, those with the most tokens first."""

    from_: datetime = Field(alias="from")
    to: datetime | None
    totals: Sums
    by_model: list[ModelSums]
    by_outcome: list[OutcomeSums]


class OrgUsageView(UsageView):
    """Usage of an org."""

    by_user: list[UserSums]
    by_key: list[KeySums]


class SystemUsageView(UsageView):
    """Usage of all orgs."""

    by_org: list[OrgSums]


class Point(Sums):
    """Of one interval; the first and the last may reach beyond the period, whose requests alone are counted."""

    start: datetime


class SeriesView(ApiModel):
    """Usage over time. Intervals without requests are left out."""

    from_: datetime = Field(alias="from")
    to: datetime | None
    interval: Interval
    points: list[Point]


class RequestView(ApiModel):
    """One row of the ledger."""

    event_id: UUID
    request_id: str
    admitted_at: datetime
    ended_at: datetime
    recorded_at: datetime
    org_id: UUID
    user_id: UUID
    key_id: UUID
    publication_id: UUID
    model: str
    upstream_model: str
    endpoint: Endpoint
    stream: bool
    outcome: Outcome
    http_status: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    usage_source: UsageSource
    held_tokens: int
    time_to_first_token_ms: int | None
    duration_ms: int
    tags: dict[str, str]


class RequestList(ApiModel):
    """All rows of one request id: one, unless a client chose the id more than once."""

    items: list[RequestView]


def sums_of(row: Any, **more: Any) -> dict[str, Any]:
    """Return the fields of `Sums` from a row, and more."""
    return {name: getattr(row, name) for name in Sums.model_fields} | more
