"""JSON of analytics."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from controlplane.api_model import ApiModel
from controlplane.moments import Moment
from controlplane.usage.analytics_sql import Filters
from controlplane.usage.dimensions import Dimension
from controlplane.usage.sums import (
    EndpointSums,
    GroupSums,
    KeySums,
    ModelSums,
    OrgSums,
    OutcomeSums,
    Point,
    PublicationSums,
    Sums,
    UserSums,
)
from ias.endpoints import Endpoint
from ias.usage_event import Outcome

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


class SeriesView(ApiModel):
    """Usage over time. Intervals without requests are left out."""

    from_: datetime = Field(alias="from")
    to: datetime | None
    interval: Interval
    by: Dimension | None
    points: list[Point]


class TopView(ApiModel):
    """Groups, the first one first."""

    from_: datetime = Field(alias="from")
    to: datetime | None
    by: Dimension
    order: Order
    items: list[GroupSums]
