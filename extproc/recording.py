"""Makes the usage event of a request, and what is owed for it, from its context and what was seen of it."""

from extproc.tokens import Tokens
from ias.context import RequestContext
from ias.spool_format import Closed, Owed
from ias.usage_event import Outcome, RequestRecorded, UsageSource


def recorded(
    context: RequestContext,
    outcome: Outcome,
    *,
    ended_at_ms: int,
    tokens: Tokens = Tokens(),  # noqa: B008 -- frozen
    held_tokens: int = 0,
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
        held_tokens=held_tokens,
        time_to_first_token_ms=time_to_first_token_ms,
        duration_ms=duration_ms,
        ended_at_ms=ended_at_ms,
        request_id=context.request_id,
        tags=context.tags,
    )


def lost(context: RequestContext, now_ms: int, held_tokens: int) -> RequestRecorded:
    """The event of a request whose end nobody saw. It used what was held for it: nobody knows better. 0: no engine got it."""
    prompt = min(context.prompt_tokens, held_tokens)
    tokens = Tokens(input=prompt, output=held_tokens - prompt)
    return recorded(context, Outcome.LOST, ended_at_ms=now_ms, tokens=tokens, held_tokens=held_tokens)


def closed(context: RequestContext, event: RequestRecorded) -> Closed:
    """The closing record of a request of ours. Only what the engine itself reported teaches the store."""
    teaches = event.usage_source is UsageSource.REPORTED
    owed = Owed(
        org_id=context.org_id,
        user_id=context.user_id,
        key_id=context.key_id,
        reservation_id=context.reservation_id,
        in_store=context.in_store,
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        publication_id=context.publication_id if teaches else "",
        prompt_bytes=context.body_bytes if teaches else 0,
    )
    return Closed(event, owed)
