"""Rules of limits: their names, how large they may be. Pure."""

from collections.abc import Mapping
from typing import Any, Literal

MAX_REQUESTS = 2**31 - 1
MAX_TOKENS_PER_MINUTE = 150_000_000_000
MAX_TOKENS_PER_HOUR = 2_500_000_000
"""A token bucket counts in tokens times milliseconds of its period, exactly up to 2^53."""
MAX_TOKENS = 10**15
"""Of budgets and everything else that no bucket counts: below 2^53, so that every JSON reader is exact."""

LimitName = Literal["requestsPerMinute", "requestsPerHour", "tokensPerMinute", "tokensPerHour", "concurrentRequests"]

COLUMNS = ("requests_per_minute", "requests_per_hour", "tokens_per_minute", "tokens_per_hour", "burst_limit", "concurrent_requests", "dry_run")


def conflict(limits: Mapping[str, Any]) -> str | None:
    """Return what makes no sense about limits together; None: nothing."""
    if limits["burst_limit"] is not None and limits["requests_per_minute"] is None:
        return "burstLimit needs requestsPerMinute"
    return None


def hold_conflict(context_tokens: int | None, output_cap: int | None) -> str | None:
    """Return what makes no sense about the sizes of a model's requests; None: nothing."""
    if context_tokens is not None and output_cap is not None and output_cap > context_tokens:
        return "outputCap must not be more than contextTokens"
    return None
