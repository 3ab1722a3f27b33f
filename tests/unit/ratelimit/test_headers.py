import pytest

from ratelimit.headers import duration, request_headers, tightest
from ratelimit.ports import Limit, LimitState

LIMIT = Limit("requestsPerMinute", "b", 60, 60_000, 60)


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
    assert request_headers(()) == ()


def test_the_tightest_limit_is_told() -> None:
    wide, narrow = LimitState(LIMIT, 50, 10_000, 0), LimitState(LIMIT, 3, 57_000, 0)
    assert request_headers((wide, narrow)) == (
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "3"),
        ("x-ratelimit-reset-requests", "57s"),
    )


def test_a_limit_that_refused_comes_first_and_the_longest_wait_wins() -> None:
    passed, short, long, never = (LimitState(LIMIT, r, 1, retry) for r, retry in ((0, 0), (2, 10), (1, 20), (9, -1)))
    assert tightest((passed, short, long)) is long
    assert tightest((passed, never, long)) is never
