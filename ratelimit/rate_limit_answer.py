"""What Envoy's rate limit filter is answered, as bytes. Pure.

A refusal has our body and headers: Envoy's own 429 has no body, and what it makes of `statuses` has names that OpenAI's clients do not read.
"""

from collections.abc import Iterator, Sequence

from ias.errors import ApiError, rate_limited, too_large_for_limit
from protos.ratelimit_pb2 import RateLimitResponse
from ratelimit.bucket import NEVER
from ratelimit.descriptors import CurrentLimit
from ratelimit.headers import limit_headers, tightest
from ratelimit.ports import LimitState, Unit

_OK, _OVER = RateLimitResponse.OK, RateLimitResponse.OVER_LIMIT
_MOST = (1 << 32) - 1


def refuses(state: LimitState) -> bool:
    """Whether the limit refuses the request."""
    return state.retry_ms != 0 and not state.limit.dry_run


def answer(limits: Sequence[CurrentLimit | None], states: Sequence[LimitState], tell_limits: bool) -> bytes:
    """Answer by the states of those descriptors that have a limit. `tell_limits`: with `x-ratelimit-*` headers for the client."""
    over = [state for state in states if refuses(state)]
    response = RateLimitResponse(overall_code=_OVER if over else _OK)
    _add_statuses(response, limits, iter(states))
    headers = tuple(limit_headers(states)) if tell_limits else ()
    if over:
        _refuse(response, _refusal(over, headers))
    else:
        _add_headers(response, headers)
    return response.SerializeToString()


def refuse_all(descriptors: int, error: ApiError) -> bytes:
    """Refuse a request without a look at its limits."""
    response = RateLimitResponse(overall_code=_OVER)
    for _ in range(descriptors):
        response.statuses.add().code = _OVER
    _refuse(response, error)
    return response.SerializeToString()


def _add_statuses(response: RateLimitResponse, limits: Sequence[CurrentLimit | None], states: Iterator[LimitState]) -> None:
    """One status for each descriptor, in their order. Time until reset is until the limit is whole again; of one that refuses, until it may not."""
    for limit in limits:
        status = response.statuses.add()
        if limit is None:
            status.code = _OK
            continue
        state = next(states)
        over = refuses(state)
        status.code = _OVER if over else _OK
        status.current_limit.requests_per_unit = limit.requests_per_unit
        status.current_limit.unit = limit.unit.of_envoy
        status.current_limit.name = limit.name
        status.limit_remaining = min(state.remaining, _MOST)
        seconds, ms = divmod(state.retry_ms if over and state.retry_ms != NEVER else state.ms_to_full, 1_000)
        status.duration_until_reset.seconds = seconds
        status.duration_until_reset.nanos = ms * 1_000_000


def _refusal(over: Sequence[LimitState], headers: tuple[tuple[str, str], ...]) -> ApiError:
    state = tightest(over)
    kind = "tokens" if state.limit.unit is Unit.TOKENS else "requests"
    if state.retry_ms == NEVER:
        return too_large_for_limit(kind, state.limit.name, headers)
    return rate_limited(kind, state.limit.name, state.retry_ms, headers)


def _refuse(response: RateLimitResponse, error: ApiError) -> None:
    response.raw_body = error.openai_body()
    _add_headers(response, (("content-type", "application/json"), *error.headers))


def _add_headers(response: RateLimitResponse, headers: Sequence[tuple[str, str]]) -> None:
    for key, value in headers:
        response.response_headers_to_add.add(key=key, value=value)
