"""Sums as they are answered, one for each group or point: an answer has hundreds.

Plain dataclasses: they are made of what the database says, so they are not validated once more, as children of `ApiModel` would be. Nor are
they frozen: to make such takes twice as long.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from controlplane.usage.dimensions import Dimension, quantiles_ms
from controlplane.usage.rollups import DURATION_BOUNDS_MS, FIRST_TOKEN_BOUNDS_MS
from ias.endpoints import Endpoint
from ias.usage_event import Outcome

_JSON = ConfigDict(alias_generator=to_camel, extra="forbid")
_SHARES = (0.5, 0.9, 0.95, 0.99)
"""Of the fields of `Latency`."""


@dataclass(slots=True)
class Latency:
    """Of so many of a hundred requests at most so long. Estimated from a histogram; null: there was none."""

    __pydantic_config__: ClassVar[ConfigDict] = _JSON
    p50_ms: int | None
    p90_ms: int | None
    p95_ms: int | None
    p99_ms: int | None


@dataclass(slots=True, kw_only=True)
class Sums:
    """Cached input and reasoning tokens are parts of input and output tokens, not beside them."""

    __pydantic_config__: ClassVar[ConfigDict] = _JSON
    requests: int
    errors: Annotated[int, Field(description="requests that an engine failed, or whose end nobody saw")]
    error_rate: Annotated[float, Field(description="errors of all requests, 0 to 1")]
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    reasoning_tokens: int
    latency: Annotated[Latency, Field(description="from admission to the end")]
    first_token: Annotated[Latency, Field(description="from admission to the first token of a stream")]


@dataclass(slots=True, kw_only=True)
class ModelSums(Sums):
    """Of one model, by the name that clients use."""

    model: str


@dataclass(slots=True, kw_only=True)
class UserSums(Sums):
    """Of one user; services that own the key of a publication are users too."""

    user_id: UUID
    username: str | None


@dataclass(slots=True, kw_only=True)
class KeySums(Sums):
    """Of one key."""

    key_id: UUID
    name: str | None


@dataclass(slots=True, kw_only=True)
class PublicationSums(Sums):
    """Of one publication."""

    publication_id: UUID


@dataclass(slots=True, kw_only=True)
class EndpointSums(Sums):
    """Of one endpoint."""

    endpoint: Endpoint


@dataclass(slots=True, kw_only=True)
class OutcomeSums(Sums):
    """Of all requests that ended in one way."""

    outcome: Outcome


@dataclass(slots=True, kw_only=True)
class OrgSums(Sums):
    """Of one org."""

    org_id: UUID
    slug: str | None


@dataclass(slots=True, kw_only=True)
class Point(Sums):
    """Of one interval; the first and the last may reach beyond the period, whose requests alone are counted."""

    start: datetime
    group: Annotated[str | None, Field(description="of the dimension that was asked for with `by`")]


@dataclass(slots=True, kw_only=True)
class GroupSums(Sums):
    """Of one group."""

    group: str
    """An id of an org, user, key or publication; else the name itself."""
    name: str | None
    """What people call what has an id."""


GROUPS: dict[Dimension, tuple[type[Sums], Callable[[str], object]]] = {
    Dimension.ORG: (OrgSums, UUID),
    Dimension.USER: (UserSums, UUID),
    Dimension.KEY: (KeySums, UUID),
    Dimension.PUBLICATION: (PublicationSums, UUID),
    Dimension.MODEL: (ModelSums, str),
    Dimension.ENDPOINT: (EndpointSums, Endpoint),
    Dimension.OUTCOME: (OutcomeSums, Outcome),
}
"""Of each dimension the sums of its groups, and what the text of a group is in them."""

_Sums = TypeVar("_Sums", bound=Sums)


def sums_of(kind: type[_Sums], row: Any, **more: object) -> _Sums:
    """Make sums from a row of the repository, and more."""
    requests, errors = row.requests, row.errors
    return kind(
        requests=requests,
        errors=errors,
        error_rate=round(errors / requests, 6) if requests else 0.0,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cached_input_tokens=row.cached_input_tokens,
        reasoning_tokens=row.reasoning_tokens,
        latency=Latency(*quantiles_ms(row.durations, DURATION_BOUNDS_MS, _SHARES)),
        first_token=Latency(*quantiles_ms(row.first_tokens, FIRST_TOKEN_BOUNDS_MS, _SHARES)),
        **more,
    )
