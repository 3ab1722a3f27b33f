"""Which limits a key, its user, its org and a publication have. Made once, when the record is read, and shared by all who have the same. Pure."""

from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from ias.gateway_views import Budget, ScopeLimits
from ratelimit.ports import MAX_LEVEL, Limit, Period, Unit

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_KINDS: Final = {
    "rpm": "requestsPerMinute",
    "rph": "requestsPerHour",
    "tpm": "tokensPerMinute",
    "tph": "tokensPerHour",
    "streams": "concurrentRequests",
}
"""Last part of a bucket's name, and what the setting is called (`ScopeLimits`)."""
_ADJECTIVES: Final = {"day": "daily", "week": "weekly", "month": "monthly"}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Rules:
    """The limits of one scope. A temporary increase ends by itself: `raised` holds (end in ms of the wall clock, limits until then)."""

    limits: tuple[Limit, ...]
    raised: tuple[tuple[int, tuple[Limit, ...]], ...] = ()

    def at(self, now_ms: int) -> tuple[Limit, ...]:
        """The limits at a time of the wall clock."""
        for end_ms, limits in self.raised:
            if now_ms < end_ms:
                return limits
        return self.limits


NO_RULES: Final = Rules(())


def key_rules(key_id: str, limits: ScopeLimits) -> Rules:
    """The key's own limits."""
    return _shared("the API key", f"key:{key_id}", limits)


def user_rules(user_id: str, limits: ScopeLimits) -> Rules:
    """Those of the user, over all of their keys."""
    return _shared("the user", f"user:{user_id}", limits)


def org_rules(limits: ScopeLimits) -> Rules:
    """Those of the org: its id is no part of the bucket's name, because every bucket lies inside an org."""
    return _shared("the organization", "org", limits)


def publication_rules(publication_id: str, model: str, limits: ScopeLimits) -> Rules:
    """The limits of each org that uses the publication. It has no budgets: those belong to who pays."""
    return Rules(_rates(f"the model '{model}'", f"pub:{publication_id}", limits))


def visitor_rules(publication_id: str, model: str, limits: ScopeLimits) -> Rules:
    """The limits of all who use a publication without a key, together."""
    return Rules(_rates(f"the model '{model}' without an API key", f"visitors:{publication_id}", limits))


def network_limit(publication_id: str, network: str, per_minute: int) -> Limit:
    """What one network may ask of a publication without a key."""
    name = f"{_KINDS['rpm']} of your network without an API key"
    return Limit(name, f"network:{publication_id}:{network}:rpm", per_minute, _MINUTE_MS, per_minute)


def setting_of(limit: Limit) -> tuple[str, str]:
    """What the limit is called where it is set, and whose it is: (`budget:month`, `org`). For metrics: never many values."""
    if limit.calendar is not None:
        return f"budget:{limit.calendar}", limit.bucket.partition(":")[0]
    return _KINDS[limit.bucket.rpartition(":")[2]], limit.bucket.partition(":")[0]


_known: WeakValueDictionary[tuple[str, ScopeLimits], Rules] = WeakValueDictionary()
"""A million keys of one org share its rules; whom nobody needs any more goes by itself."""


def _shared(of: str, scope: str, limits: ScopeLimits) -> Rules:
    if limits == ScopeLimits():
        return NO_RULES
    if (rules := _known.get((scope, limits))) is None:
        rules = _known[scope, limits] = _rules(of, scope, limits)
    return rules


def _rules(of: str, scope: str, limits: ScopeLimits) -> Rules:
    rates = _rates(of, scope, limits)
    ends = sorted({budget.extra_until_ms for budget in limits.budgets if budget.extra_tokens > 0})
    raised = tuple((end_ms, (*rates, *_budgets(of, scope, limits, end_ms - 1))) for end_ms in ends)
    return Rules((*rates, *_budgets(of, scope, limits, None)), raised)


def _rates(of: str, scope: str, limits: ScopeLimits) -> tuple[Limit, ...]:
    """Zero lets nothing pass; a burst of zero means that none was set."""
    made: list[Limit] = []
    for kind, unit, rate, period_ms, burst in (
        ("rpm", Unit.REQUESTS, limits.requests_per_minute, _MINUTE_MS, limits.burst_limit),
        ("rph", Unit.REQUESTS, limits.requests_per_hour, _HOUR_MS, None),
        ("tpm", Unit.TOKENS, limits.tokens_per_minute, _MINUTE_MS, None),
        ("tph", Unit.TOKENS, limits.tokens_per_hour, _HOUR_MS, None),
    ):
        if rate is not None:
            name, dry_run = _KINDS[kind], _KINDS[kind] in limits.dry_run
            most = MAX_LEVEL // period_ms - 1  # of what the store can count exactly; nobody has engines for more
            capacity = min(burst or rate, most) if rate else 0
            made.append(Limit(f"{name} of {of}", f"{scope}:{kind}", min(rate or 1, most), period_ms, capacity, unit, dry_run=dry_run))
    if limits.concurrent_requests is not None:
        name = _KINDS["streams"]
        dry_run = name in limits.dry_run
        made.append(Limit(f"{name} of {of}", f"{scope}:streams", 0, 1, min(limits.concurrent_requests, MAX_LEVEL - 1), Unit.STREAMS, dry_run=dry_run))
    return tuple(made)


def _budgets(of: str, scope: str, limits: ScopeLimits, at_ms: int | None) -> tuple[Limit, ...]:
    return tuple(_budget(of, scope, budget, f"budget:{budget.period}" in limits.dry_run, at_ms) for budget in limits.budgets)


def _budget(of: str, scope: str, budget: Budget, dry_run: bool, at_ms: int | None) -> Limit:
    extra = budget.extra_tokens if at_ms is not None and at_ms < budget.extra_until_ms else 0
    name = f"{_ADJECTIVES[budget.period]} token budget of {of}"
    return Limit(name, scope, 0, 1, min(budget.tokens + extra, MAX_LEVEL - 1), Unit.TOKENS, Period(budget.period), dry_run)
