"""Which limit refused decides what the client is told."""

import pytest

from extauth.refusal import refusal
from ratelimit.ports import Limit, LimitState, Period, TokenHold, Unit

REQUESTS = Limit("requestsPerMinute of the API key", "key:1:rpm", 60, 60_000, 60)
TOKENS = Limit("tokensPerMinute of the user", "user:1:tpm", 1_000, 60_000, 1_000, Unit.TOKENS)
BUDGET = Limit("monthly token budget of the organization", "org", 0, 1, 9_000, Unit.TOKENS, Period.MONTH)
NO_BUDGET = Limit("daily token budget of the organization", "org", 0, 1, 0, Unit.TOKENS, Period.DAY)
STREAMS = Limit("concurrentRequests of the organization", "org:streams", 0, 1, 3, Unit.STREAMS)
DRY = Limit("requestsPerHour of the API key", "key:1:rph", 1, 3_600_000, 1, dry_run=True)
WEEK_MS = 7 * 86_400_000
HOLD = TokenHold(4_000, 10, 500)
SPENT = {"retry-after": "604800", "x-should-retry": "false"}


@pytest.mark.parametrize(
    ("state", "type_", "code", "headers"),
    [
        (LimitState(REQUESTS, 0, 60_000, 900), "requests", "rate_limit_exceeded", {"retry-after": "1", "retry-after-ms": "900"}),
        (LimitState(TOKENS, 5, 60_000, 90_000), "tokens", "rate_limit_exceeded", {"retry-after": "60", "retry-after-ms": "60000"}),
        (LimitState(STREAMS, 0, 0, 1_000, held=3), "requests", "rate_limit_exceeded", {"retry-after": "1", "retry-after-ms": "1000"}),
        (LimitState(BUDGET, 10, WEEK_MS, WEEK_MS), "insufficient_quota", "insufficient_quota", SPENT),
        (
            LimitState(BUDGET, 10, WEEK_MS, WEEK_MS, held=489),
            "insufficient_quota",
            "insufficient_quota",
            SPENT,
        ),
        (LimitState(BUDGET, 10, WEEK_MS, WEEK_MS, held=490), "tokens", "rate_limit_exceeded", {"retry-after": "60", "retry-after-ms": "60000"}),
        (LimitState(BUDGET, -600, WEEK_MS, WEEK_MS, held=1_000), "insufficient_quota", "insufficient_quota", SPENT),  # lowered while requests run
        (LimitState(NO_BUDGET, 0, 1_000, -1), "insufficient_quota", "insufficient_quota", {"retry-after": "1", "x-should-retry": "false"}),
        (LimitState(BUDGET, 10, WEEK_MS, -1), "tokens", "request_too_large_for_limit", {"x-should-retry": "false"}),
        (LimitState(TOKENS, 1_000, 0, -1), "tokens", "request_too_large_for_limit", {"x-should-retry": "false"}),
        (LimitState(REQUESTS, 0, 0, -1), "requests", "request_too_large_for_limit", {"x-should-retry": "false"}),
    ],
)
def test_each_kind(state: LimitState, type_: str, code: str, headers: dict[str, str]) -> None:
    error = refusal((LimitState(DRY, 0, 9, 9), state), HOLD)
    assert (error.status, error.type, error.code) == (429, type_, code)
    assert {name: value for name, value in error.headers if not name.startswith("x-ratelimit-")} == headers
    assert state.limit.name in error.message


def test_the_headers_tell_requests_and_tokens_also_on_a_refusal() -> None:
    error = refusal((LimitState(REQUESTS, 9, 1_000, 0), LimitState(TOKENS, 5, 60_000, 2_000), LimitState(DRY, 0, 9, 9)), HOLD)
    assert dict(error.headers) | {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "5",
        "x-ratelimit-reset-tokens": "1m0s",
    } == dict(error.headers)


def test_concurrency_says_that_it_is_about_what_runs_at_once() -> None:
    assert "concurrentRequests of the organization (3 at once)" in refusal((LimitState(STREAMS, 0, 0, 1_000),), HOLD).message


def test_of_several_the_one_that_no_wait_helps_has_the_last_word_then_the_longest() -> None:
    short, long, never = LimitState(REQUESTS, 0, 1, 10), LimitState(TOKENS, 0, 1, 20), LimitState(BUDGET, 0, 1, -1)
    assert TOKENS.name in refusal((short, long), HOLD).message
    assert BUDGET.name in refusal((short, never, long), HOLD).message
