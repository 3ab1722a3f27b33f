"""Rules of requests for more: what can be asked for, who decides, and the states of a request. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum

from controlplane.errors import Problem, invalid_field
from controlplane.limits.rules import MAX_REQUESTS, MAX_TOKENS, MAX_TOKENS_PER_HOUR, MAX_TOKENS_PER_MINUTE
from ias.roles import Permission

LIFETIME = timedelta(days=14)
MOST_OPEN = 10
"""Open requests that one user may have."""

COLUMNS = {
    "requestsPerMinute": ("requests_per_minute", MAX_REQUESTS),
    "requestsPerHour": ("requests_per_hour", MAX_REQUESTS),
    "tokensPerMinute": ("tokens_per_minute", MAX_TOKENS_PER_MINUTE),
    "tokensPerHour": ("tokens_per_hour", MAX_TOKENS_PER_HOUR),
    "burstLimit": ("burst_limit", MAX_REQUESTS),
    "concurrentRequests": ("concurrent_requests", MAX_REQUESTS),
}
"""Of a limit by its name: where it is kept, and how large it may be."""


class Kind(StrEnum):
    """What is asked for."""

    BUDGET = "budget"
    """That the budget of a period be so many tokens."""
    INCREASE = "increase"
    """So many tokens on top of a budget, until a moment."""
    LIMIT = "limit"
    """That a limit be so high."""


class State(StrEnum):
    """Where a request stands."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


EDGES = frozenset((State.OPEN, to) for to in (State.APPROVED, State.REJECTED, State.WITHDRAWN, State.EXPIRED))
"""Every change of state there is: what has ended stays as it ended."""


def state_at(state: State, expires_at: datetime, now: datetime) -> State:
    """Return the state at a moment: what nobody has decided in time is expired, whether or not that was written down."""
    return State.EXPIRED if state is State.OPEN and expires_at <= now else state


def check_move(state: State, to: State) -> None:
    """Raise Problem 409 for a change of state that there is not."""
    if (state, to) not in EDGES:
        raise Problem(409, "request_not_open", f"The request is {state} already.")


def decider(kind: Kind, scope: str) -> Permission:
    """Return what whoever decides must be allowed to do: what is asked for, if it were done without a request."""
    return Permission.ORGS_MANAGE if kind is Kind.LIMIT and scope == "org" else Permission.BUDGETS_SET


def check_amount(kind: Kind, name: str, amount: int) -> None:
    """Raise Problem 422 for more than any budget or limit of this name can be."""
    most = COLUMNS[name][1] if kind is Kind.LIMIT else MAX_TOKENS
    if amount > most:
        raise invalid_field("amount", f"must be at most {most}")


def check_more(kind: Kind, current: int | None, amount: int) -> None:
    """Raise Problem 409 where there is nothing to raise, or where so much is less than there is."""
    if current is None:
        raise Problem(409, "nothing_limits", "There is no such budget or limit, so there is nothing to raise.")
    if kind is not Kind.INCREASE and amount <= current:
        raise Problem(409, "not_more", f"It is {current} already: ask for more than that.")


def wish(kind: Kind, name: str, amount: int, until: datetime | None) -> str:
    """Say what is asked for, or granted."""
    match kind:
        case Kind.BUDGET:
            return f"a budget of {amount:,} tokens each {name}"
        case Kind.INCREASE:
            return f"{amount:,} more tokens each {name}" + (f" until {until:%Y-%m-%d %H:%M} UTC" if until else "")
        case Kind.LIMIT:
            return f"{name} of {amount:,}"
