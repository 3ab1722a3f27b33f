"""The buckets of a key and of a publication."""

from extauth.limits import key_limits, publication_limits
from ratelimit.ports import Limit
from tests.unit.extauth.world import credential, publication


def test_without_limits_there_are_no_buckets() -> None:
    assert key_limits(credential()) == publication_limits(publication()) == ()


def test_a_publication_has_a_bucket_for_each_period() -> None:
    assert publication_limits(publication(requests_per_minute=60, burst_limit=10, requests_per_hour=500)) == (
        Limit("requestsPerMinute of the model 'small'", "pub:pub-small:rpm", refill=60, period_ms=60_000, capacity=10),
        Limit("requestsPerHour of the model 'small'", "pub:pub-small:rph", refill=500, period_ms=3_600_000, capacity=500),
    )


def test_without_a_burst_a_whole_minute_may_come_at_once() -> None:
    (limit,) = key_limits(credential(requests_per_minute=7, burst_limit=0))
    assert (limit.refill, limit.capacity) == (7, 7)


def test_zero_requests_let_nothing_pass() -> None:
    (limit,) = key_limits(credential(requests_per_minute=0))
    assert limit.capacity == 0
