"""JSON of limits."""

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from controlplane.api_model import ApiModel
from controlplane.limits import rules
from ias.context import AdmissionMode

Requests = Annotated[int, Field(ge=0, le=rules.MAX_REQUESTS, strict=True)]
Tokens = Annotated[int, Field(ge=0, le=rules.MAX_TOKENS, strict=True)]


class LimitValues(ApiModel):
    """Limits, each of which may be null: none. 0 lets nothing pass."""

    requests_per_minute: Requests | None = None
    requests_per_hour: Requests | None = None
    tokens_per_minute: Annotated[int, Field(ge=0, le=rules.MAX_TOKENS_PER_MINUTE, strict=True)] | None = None
    tokens_per_hour: Annotated[int, Field(ge=0, le=rules.MAX_TOKENS_PER_HOUR, strict=True)] | None = None
    burst_limit: Annotated[int, Field(ge=1, le=rules.MAX_REQUESTS, strict=True)] | None = Field(
        default=None, description="Requests that may come at once; needs requestsPerMinute, which is the default."
    )
    concurrent_requests: Requests | None = Field(default=None, description="Requests that may run at once.")
    dry_run: list[rules.LimitName] = Field(
        default=[], max_length=10, description="Limits that never refuse and only count what they would have refused."
    )

    @field_validator("dry_run")
    @classmethod
    def _once_each(cls, names: list[rules.LimitName]) -> list[rules.LimitName]:
        return sorted(set(names))


class Limits(LimitValues):
    """Limits that make sense together."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if (reason := rules.conflict(self.model_dump())) is not None:
            raise ValueError(reason)
        return self


class OrgLimits(Limits):
    """Limits of an org as a whole, and how its tokens are held."""

    admission_mode: AdmissionMode | None = Field(default=None, description="Null: that of each publication.")
    outage_tokens: Tokens = Field(
        default=0, description="Tokens that the org may spend in each gateway process while budgets cannot be checked; 0: requests are refused then."
    )


def limits_of(row: Any) -> dict[str, Any]:
    """Return the limits in a row of orgs, users, keys or publications."""
    return {name: getattr(row, name) for name in rules.COLUMNS}
