"""JSON of security events."""

from datetime import datetime
from uuid import UUID

from controlplane.api_model import ApiModel


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
