"""Makes the usage event of a request from its context and what was seen of it."""

from extproc.usage import Tokens
from ias.context import RequestContext
from ias.usage_event import Outcome, RequestRecorded


def recorded(
    context: RequestContext,
    outcome: Outcome,
    *,
    ended_at_ms: int,
    tokens: Tokens = Tokens(),  # noqa: B008 -- frozen
    http_status: int = 0,
    time_to_first_token_ms: int | None = None,
    duration_ms: int = 0,
) -> RequestRecorded:
    """Build the event; the reservation id is its id, so that however often it is delivered it counts once."""
    return RequestRecorded(
        event_id=context.reservation_id,
        org_id=context.org_id,
        user_id=context.user_id,
        key_id=context.key_id,
        publication_id=context.publication_id,
        model=context.model,
        upstream_model=context.upstream_model,
        endpoint=context.endpoint,
        stream=context.stream,
        outcome=outcome,
        http_status=http_status,
        input_tokens=tokens.input,
        cached_input_tokens=tokens.cached_input,
        output_tokens=tokens.output,
        reasoning_tokens=tokens.reasoning,
        usage_source=tokens.source,
        time_to_first_token_ms=time_to_first_token_ms,
        duration_ms=duration_ms,
        ended_at_ms=ended_at_ms,
        request_id=context.request_id,
        tags=context.tags,
    )


def lost(context: RequestContext, now_ms: int) -> RequestRecorded:
    """The event of a request whose end nobody saw: no tokens, no duration, because neither is known."""
    return recorded(context, Outcome.LOST, ended_at_ms=now_ms)
