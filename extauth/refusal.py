"""What a refused admission tells the client: which limit it was decides the error (design §4, "Errors"). Pure."""

from collections.abc import Sequence

from extauth.incoming import Incoming
from ias.errors import ApiError, insufficient_quota, rate_limited, too_large_for_limit
from ias.gateway_views import Credential
from ias.security_event import LimitSeen, RefusedRequest
from ratelimit.bucket import NEVER
from ratelimit.headers import limit_headers, tightest
from ratelimit.ports import LimitState, TokenHold, Unit


def refusal(states: Sequence[LimitState], hold: TokenHold) -> ApiError:
    """Return the error for the limit that has the last word: one that no wait helps, else the one with the longest."""
    state = tightest([state for state in states if not state.limit.dry_run])
    limit, headers = state.limit, tuple(limit_headers(states))
    kind = "tokens" if limit.unit is Unit.TOKENS else "requests"
    if limit.calendar is not None and (limit.capacity == 0 or (state.retry_ms != NEVER and not _is_only_held(state, hold))):
        return insufficient_quota(limit.name, state.ms_to_full, headers)
    if state.retry_ms == NEVER:
        return too_large_for_limit(kind, limit.name, headers)
    name = f"{limit.name} ({limit.capacity} at once)" if limit.unit is Unit.STREAMS else limit.name
    return rate_limited(kind, name, state.retry_ms, headers)


def sample_of(
    incoming: Incoming, error: ApiError, credential: Credential, model: str | None, states: Sequence[LimitState], now_ms: int
) -> RefusedRequest:
    """What is kept of a refused request, for who looks for it: the reason as the client was told it, and the limits as they stood."""
    limits = tuple(
        LimitSeen(
            name=state.limit.name,
            unit=state.limit.unit,
            capacity=state.limit.capacity,
            remaining=state.remaining,
            retry_ms=state.retry_ms,
            dry_run=state.limit.dry_run,
        )
        for state in states
    )
    return RefusedRequest(
        request_id=incoming.request_id[:128],
        at_ms=now_ms,
        user_id=credential.user_id,
        key_id=credential.key_id,
        method=incoming.method[:16],
        path=incoming.target.partition("?")[0][:200],
        message=error.message[:500],
        model=model[:200] if model else None,
        limits=limits,
    )


def _is_only_held(state: LimitState, hold: TokenHold) -> bool:
    """Whether the request would fit if running ones ended now without taking a token more: then the budget is busy, not spent."""
    least = min(hold.full, hold.reduced or hold.full, hold.at_least or hold.full)
    return state.free + state.held >= least
