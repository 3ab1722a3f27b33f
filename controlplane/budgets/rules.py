"""Rules of budgets: what may be spent, ceilings, thresholds, and how long a counter's base may still change. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from controlplane.errors import Problem
from ratelimit.periods import period_at
from ratelimit.ports import BudgetKey, BudgetState, Period

DEFAULT_THRESHOLDS = (50, 80, 100)
"""Percent of the budget."""

STAYS_OPEN_MS = 7 * 24 * 3_600_000
"""A request ends, and its event arrives, within this time; later the base of a counter does not change any more."""
FIRST_PAUSE_MS = 5_000


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget as it was set: for whom (`scope` is `org`, `user` or `key`), and how much. Not both `tokens` and `ceiling_tokens` are None."""

    subject_id: UUID
    scope: str
    org_id: UUID
    user_id: UUID | None
    period: Period
    tokens: int | None
    ceiling_tokens: int | None = None
    extra_tokens: int = 0
    extra_until: datetime | None = None
    thresholds: tuple[int, ...] = DEFAULT_THRESHOLDS
    dry_run: bool = False
    version: int = 0

    @property
    def effective_tokens(self) -> int:
        """What may be spent: the budget with its increase, and never more than the ceiling. Of the budget `at` a moment."""
        own = None if self.tokens is None else self.tokens + self.extra_tokens
        return min(tokens for tokens in (own, self.ceiling_tokens) if tokens is not None)

    def at(self, now: datetime) -> "Budget":
        """Return the budget as it is at a moment: an increase that has ended is none."""
        ended = self.extra_until is not None and self.extra_until <= now
        return replace(self, extra_tokens=0, extra_until=None) if ended else self

    def counter(self, now: datetime) -> BudgetKey:
        """Name the admission store's counter of the period that `now` lies in."""
        start_ms, end_ms = period_at(self.period, unix_ms(now))
        scope = self.scope if self.scope == "org" else f"{self.scope}:{self.subject_id}"
        return BudgetKey(str(self.org_id), scope, self.period, start_ms, end_ms)


@dataclass(frozen=True, slots=True)
class Use:
    """What was spent of a budget and what running requests hold. `live`: the admission store says so, else the ledger."""

    spent: int
    held: int
    live: bool


def unix_ms(moment: datetime) -> int:
    """Return milliseconds since 1970, rounded down."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def at_ms(milliseconds: int) -> datetime:
    """Return the moment of milliseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def check_ceiling(budget: Budget) -> None:
    """Raise Problem 422 for a budget that is, with its increase, above the ceiling."""
    if budget.ceiling_tokens is not None and (budget.tokens or 0) + budget.extra_tokens > budget.ceiling_tokens:
        raise Problem(
            422,
            "budget_above_ceiling",
            f"The budget and its increase are more than this org's ceiling of {budget.ceiling_tokens} tokens per {budget.period}. "
            "Only a System Admin can raise the ceiling.",
        )


def use_of(state: BudgetState | None) -> Use | None:
    """Return what a counter says; None when it cannot tell: it does not exist, or its base is not known yet."""
    return None if state is None or state.base is None else Use(state.base + state.own, state.held, True)


def reached(thresholds: Sequence[int], spent: int, tokens: int) -> list[int]:
    """Return the thresholds, in percent, that so much of a budget has reached; of a budget of 0 only when something was spent."""
    return [percent for percent in sorted(thresholds) if spent > 0 and spent * 100 >= tokens * percent]


def next_look_ms(since_ms: int, watched_since_ms: int, now_ms: int) -> int | None:
    """Return when to sum up a counter's base again; None: never, nothing can change it any more.

    Events of requests before `since_ms` arrive the more rarely the longer ago it is, and with a delay when whoever brings
    them, this process included, was down: so the pause grows with the time for which both are there.
    """
    age = now_ms - max(since_ms, watched_since_ms)
    return None if age > STAYS_OPEN_MS else now_ms + max(FIRST_PAUSE_MS, age // 10)
