"""JSON of security events."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from controlplane.api_model import ApiModel
from controlplane.moments import Moment
from controlplane.pagination import PageQuery
from controlplane.security_events.rules import Grouping, Sought

_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"


class SecurityEventFilter(ApiModel):
    """Which events; what is left out does not narrow."""

    status: int | None = Field(default=None, ge=400, le=599)
    code: str | None = Field(default=None, max_length=100, pattern=_PRINTABLE, description="why: `rate_limit_exceeded`")
    credential: str | None = Field(default=None, max_length=100, pattern=_PRINTABLE, description="the public part of an API key")
    address: str | None = Field(default=None, max_length=100, pattern=_PRINTABLE, description="a network as events have it: `192.0.2.0/24`")
    from_: Moment | None = Field(default=None, alias="from", description="inclusive, by the minute of the requests")
    to: Moment | None = Field(default=None, description="exclusive")

    def sought(self) -> Sought:
        """The same for the rules."""
        return Sought(self.status, self.code, self.credential, self.address, self.from_, self.to)


class SecurityEventQuery(SecurityEventFilter, PageQuery):
    """Which events, and which page of them."""


class SummaryQuery(SecurityEventFilter):
    """Which events, counted by what they have in common."""

    by: Grouping = Grouping.KIND
    top: int = Field(default=100, ge=1, le=1_000, description="groups, those with the most requests first")


class SecurityEventView(ApiModel):
    """Requests of one minute that were refused for the same reason, with the same key, from the same network."""

    id: UUID
    minute: datetime
    status: int
    code: str
    org_id: UUID | None
    credential: str | None
    """The public part of the API key."""
    address: str | None
    """The client's network: an IPv4 /24 or an IPv6 /48."""
    overflow: bool
    """More kinds than are told apart came in this minute: the others of this status and code together."""
    requests: int


class RefusedGroup(ApiModel):
    """Refusals that have something in common. Only the fields that they were counted by are not null."""

    status: int | None = None
    code: str | None = None
    credential: str | None = None
    address: str | None = None
    org_id: UUID | None = None
    requests: int
    events: int
    """Rows of the list that they are."""
    first: datetime
    """Minute of the first one."""
    last: datetime


class Summary(ApiModel):
    """What was refused, counted."""

    by: Grouping
    requests: int
    items: list[RefusedGroup]
