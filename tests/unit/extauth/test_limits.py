"""The limits of a key, its user, its org and a publication."""

import gc
import weakref

import pytest

from extauth.limits import NO_RULES, key_rules, org_rules, publication_rules, setting_of, user_rules
from ias.gateway_views import Budget, ScopeLimits
from ratelimit.ports import MAX_LEVEL, Limit, Period, Unit

EVERYTHING = ScopeLimits(
    requests_per_minute=60,
    requests_per_hour=500,
    tokens_per_minute=1_000,
    tokens_per_hour=9_000,
    burst_limit=10,
    concurrent_requests=4,
    budgets=(Budget("day", 100), Budget("month", 2_000)),
)


def test_without_limits_there_is_nothing_to_ask() -> None:
    assert org_rules(ScopeLimits()) is key_rules("k", ScopeLimits()) is NO_RULES
    assert publication_rules("p", "m", ScopeLimits()).at(0) == ()


def test_an_org_has_every_kind_of_limit() -> None:
    assert org_rules(EVERYTHING).at(0) == (
        Limit("requestsPerMinute of the organization", "org:rpm", 60, 60_000, 10),
        Limit("requestsPerHour of the organization", "org:rph", 500, 3_600_000, 500),
        Limit("tokensPerMinute of the organization", "org:tpm", 1_000, 60_000, 1_000, Unit.TOKENS),
        Limit("tokensPerHour of the organization", "org:tph", 9_000, 3_600_000, 9_000, Unit.TOKENS),
        Limit("concurrentRequests of the organization", "org:streams", 0, 1, 4, Unit.STREAMS),
        Limit("daily token budget of the organization", "org", 0, 1, 100, Unit.TOKENS, Period.DAY),
        Limit("monthly token budget of the organization", "org", 0, 1, 2_000, Unit.TOKENS, Period.MONTH),
    )


def test_each_scope_has_buckets_of_its_own() -> None:
    def buckets(limits: tuple[Limit, ...]) -> set[str]:
        return {limit.bucket for limit in limits}

    kinds = ("rpm", "rph", "tpm", "tph", "streams")
    assert buckets(key_rules("k1", EVERYTHING).at(0)) == {"key:k1", *(f"key:k1:{kind}" for kind in kinds)}
    assert buckets(user_rules("u1", EVERYTHING).at(0)) == {"user:u1", *(f"user:u1:{kind}" for kind in kinds)}
    assert buckets(publication_rules("p1", "small", EVERYTHING).at(0)) == {f"pub:p1:{kind}" for kind in kinds}


@pytest.mark.parametrize("burst", [None, 0])
def test_without_a_burst_a_whole_minute_may_come_at_once(burst: int | None) -> None:
    (limit,) = key_rules("k", ScopeLimits(requests_per_minute=7, burst_limit=burst)).at(0)
    assert (limit.refill, limit.capacity) == (7, 7)


@pytest.mark.parametrize(
    "limits", [ScopeLimits(requests_per_minute=0, burst_limit=9), ScopeLimits(tokens_per_hour=0), ScopeLimits(concurrent_requests=0)]
)
def test_zero_lets_nothing_pass(limits: ScopeLimits) -> None:
    (limit,) = key_rules("k", limits).at(0)
    assert limit.capacity == 0


def test_more_than_can_be_counted_exactly_is_the_most_that_can() -> None:
    huge = ScopeLimits(requests_per_hour=1 << 60, tokens_per_hour=1 << 60, concurrent_requests=1 << 60, budgets=(Budget("day", 1 << 60),))
    assert all(limit.capacity * limit.period_ms < MAX_LEVEL for limit in org_rules(huge).at(0))


def test_a_temporary_increase_ends_by_itself_each_at_its_time() -> None:
    rules = org_rules(
        ScopeLimits(budgets=(Budget("day", 10, 5, extra_until_ms=500), Budget("month", 100, 50, extra_until_ms=1_000), Budget("week", 7)))
    )
    assert [[limit.capacity for limit in rules.at(now)] for now in (0, 499, 500, 999, 1_000)] == [
        [15, 150, 7],
        [15, 150, 7],
        [10, 150, 7],
        [10, 150, 7],
        [10, 100, 7],
    ]


def test_dry_run_is_told_by_name() -> None:
    limits = ScopeLimits(
        requests_per_minute=1,
        tokens_per_minute=1,
        concurrent_requests=1,
        budgets=(Budget("day", 1), Budget("month", 1)),
        dry_run=frozenset({"tokensPerMinute", "concurrentRequests", "budget:month", "unknown"}),
    )
    assert [setting_of(limit) for limit in key_rules("k", limits).at(0) if limit.dry_run] == [
        ("tokensPerMinute", "key"),
        ("concurrentRequests", "key"),
        ("budget:month", "key"),
    ]
    (of_model,) = publication_rules("p", "m", ScopeLimits(requests_per_hour=1, dry_run=frozenset({"requestsPerHour"}))).at(0)
    assert (of_model.dry_run, setting_of(of_model)) == (True, ("requestsPerHour", "pub"))


def test_who_has_the_same_limits_shares_them_until_nobody_has_them() -> None:
    limits = ScopeLimits(requests_per_minute=123_457)
    one, other = user_rules("u", limits), user_rules("u", ScopeLimits(requests_per_minute=123_457))
    assert one is other
    assert user_rules("v", limits) is not one
    kept = weakref.ref(one)
    del one, other
    gc.collect()
    assert kept() is None
