import pytest
from msgspec.structs import replace

from ratelimit.headers import duration, limit_headers, tightest
from ratelimit.ports import Limit, LimitState, Period, Unit

LIMIT = Limit("requestsPerMinute", "b", 60, 60_000, 60)
TOKENS = Limit("tokensPerMinute", "t", 1_000, 60_000, 1_000, Unit.TOKENS)
BUDGET = Limit("monthly token budget", "org", 0, 1, 90_000, Unit.TOKENS, Period.MONTH)
STREAMS = Limit("concurrentRequests", "s", 0, 1, 5, Unit.STREAMS)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (120, "120ms"),
        (1_000, "1s"),
        (8_640, "8.64s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (3_600_000, "1h0m0s"),
        (3_661_500, "1h1m1.5s"),
    ],
)
def test_durations_are_written_as_openai_does(ms: int, text: str) -> None:
    assert duration(ms) == text


def test_no_limit_no_headers() -> None:
    assert limit_headers(()) == []


def test_the_tightest_limit_is_told() -> None:
    wide, narrow = LimitState(LIMIT, 50, 10_000, 0), LimitState(LIMIT, 3, 57_000, 0)
    assert tuple(limit_headers((wide, narrow))) == (
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "3"),
        ("x-ratelimit-reset-requests", "57s"),
    )


def test_requests_and_tokens_are_told_apart_and_a_budget_counts_among_the_tokens() -> None:
    states = (
        LimitState(LIMIT, 50, 10_000, 0),
        LimitState(TOKENS, 900, 6_000, 0),
        LimitState(BUDGET, 800, 86_400_000, 0),
        LimitState(STREAMS, 1, 0, 0),
    )
    assert dict(limit_headers(states)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "50",
        "x-ratelimit-reset-requests": "10s",
        "x-ratelimit-limit-tokens": "90000",
        "x-ratelimit-remaining-tokens": "800",
        "x-ratelimit-reset-tokens": "24h0m0s",
    }
    assert limit_headers(states[3:]) == []


def test_a_limit_that_is_only_tried_out_is_not_told() -> None:
    assert limit_headers((LimitState(replace(TOKENS, dry_run=True), 0, 1, 5),)) == []


def test_a_limit_that_refused_comes_first_and_the_longest_wait_wins() -> None:
    passed, short, long, never = (LimitState(LIMIT, r, 1, retry) for r, retry in ((0, 0), (2, 10), (1, 20), (9, -1)))
    assert tightest((passed, short, long)) is long
    assert tightest((passed, never, long)) is never
