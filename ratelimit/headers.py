"""The `x-ratelimit-*` response headers, in OpenAI's form (https://platform.openai.com/docs/guides/rate-limits)."""

from collections.abc import Sequence

from ratelimit.ports import LimitState, Unit

_SHOWN = tuple((unit, *(f"x-ratelimit-{what}-{unit}" for what in ("limit", "remaining", "reset"))) for unit in (Unit.REQUESTS, Unit.TOKENS))


def limit_headers(states: Sequence[LimitState]) -> list[tuple[str, str]]:
    """Tell the tightest request limit and the tightest token limit, budgets among them; what is only tried out (`dry_run`) is not told."""
    headers: list[tuple[str, str]] = []
    for unit, limit, remaining, reset in _SHOWN:
        shown = [state for state in states if state.limit.unit is unit and not state.limit.dry_run]
        if shown:
            state = shown[0] if len(shown) == 1 else tightest(shown)
            headers += ((limit, str(state.limit.capacity)), (remaining, str(state.remaining)), (reset, duration(state.ms_to_full)))
    return headers


def tightest(states: Sequence[LimitState]) -> LimitState:
    """The limit that decides what the client may do next: one that refused, else the one with the least left."""
    return min(states, key=lambda state: (state.retry_ms >= 0, -state.retry_ms, state.remaining, -state.ms_to_full))


def duration(ms: int) -> str:
    """Render a time as OpenAI does: `120ms`, `1s`, `8.64s`, `6m0s`, `1h0m0s`."""
    if ms < 1000:
        return f"{ms}ms" if ms else "0s"
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds
