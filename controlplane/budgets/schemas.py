"""JSON of budgets."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, field_validator

from controlplane.api_model import ApiModel
from controlplane.budgets.rules import DEFAULT_THRESHOLDS, Budget, Use, at_ms
from controlplane.limits.rules import MAX_TOKENS
from controlplane.limits.schemas import Tokens
from controlplane.limits.subject import Scope
from controlplane.moments import FutureMoment
from ratelimit.ports import Period

Percent = Annotated[int, Field(ge=1, le=1_000, strict=True)]


class BudgetBody(ApiModel):
    """A budget to set."""

    tokens: Tokens = Field(description="Input and output tokens of each period; 0 lets nothing pass.")
    thresholds: list[Percent] = Field(
        default=list(DEFAULT_THRESHOLDS), max_length=10, description="Percent at which an alert is raised, once in a period."
    )
    dry_run: bool = Field(default=False, strict=True, description="Never refuse, only count what would have been refused.")

    @field_validator("thresholds")
    @classmethod
    def _once_each(cls, thresholds: list[int]) -> list[int]:
        return sorted(set(thresholds))


class IncreaseBody(ApiModel):
    """A temporary increase."""

    tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS, strict=True)] = Field(description="On top of the budget.")
    until: FutureMoment


class CeilingBody(ApiModel):
    """What an org's budget may be at most."""

    tokens: Tokens


class BudgetView(ApiModel):
    """A budget and what is left of it in the current period."""

    scope: Scope
    subject_id: UUID
    period: Period
    tokens: int | None = Field(description="As it was set; null: only the ceiling is.")
    ceiling_tokens: int | None
    extra_tokens: int
    extra_until: datetime | None
    effective_tokens: int = Field(description="What may be spent now: budget and running increase, at most the ceiling.")
    thresholds: list[int]
    dry_run: bool
    period_start: datetime
    resets_at: datetime
    spent: int
    held: int = Field(description="By requests that run.")
    free: int
    source: Literal["live", "ledger"] = Field(
        description="'live': as admission counts. 'ledger': nothing was admitted in this period, or its counter cannot be read; without what runs."
    )

    @classmethod
    def of(cls, budget: Budget, use: Use, now: datetime) -> Self:
        """Make the view of a budget in the period that `now` lies in."""
        budget, counter = budget.at(now), budget.counter(now)
        effective = budget.effective_tokens
        values: dict[str, Any] = {name: getattr(budget, name) for name in cls.model_fields if name in Budget.__slots__}
        return cls(
            **values,
            effective_tokens=effective,
            period_start=at_ms(counter.start_ms),
            resets_at=at_ms(counter.end_ms),
            spent=use.spent,
            held=use.held,
            free=max(0, effective - use.spent - use.held),
            source="live" if use.live else "ledger",
        )


class BudgetList(ApiModel):
    """All budgets of one subject."""

    items: list[BudgetView]


class AlertView(ApiModel):
    """A threshold that was reached."""

    id: UUID
    scope: Scope
    subject_id: UUID
    period: Period
    period_start: datetime
    threshold: int = Field(description="Percent.")
    tokens: int = Field(description="What could be spent when it was reached.")
    spent: int
    created_at: datetime
