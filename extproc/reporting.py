"""What is told of a request when it has ended: one access line, and the metrics."""

from ias import logs, telemetry
from ias.endpoints import Endpoint
from ias.usage_event import Outcome, RequestRecorded

_OPERATIONS = {
    Endpoint.CHAT_COMPLETIONS: "chat",
    Endpoint.RESPONSES: "chat",
    Endpoint.MESSAGES: "chat",
    Endpoint.COMPLETIONS: "text_completion",
    Endpoint.EMBEDDINGS: "embeddings",
}
"""`gen_ai.operation.name`."""


def report(event: RequestRecorded) -> None:
    """Count an event and write its line; neither holds anything of the content."""
    telemetry.EVENTS.labels(event.outcome).inc()
    telemetry.TOKENS.labels("input", event.usage_source).inc(event.input_tokens)
    telemetry.TOKENS.labels("output", event.usage_source).inc(event.output_tokens)
    _measure(event)
    logs.write_line(
        "request",
        {
            "request_id": event.request_id,
            "event_id": event.event_id,
            "org_id": event.org_id,
            "key_id": event.key_id,
            "model": event.model,
            "endpoint": event.endpoint,
            "stream": event.stream,
            "status": event.http_status,
            "outcome": event.outcome,
            "input_tokens": event.input_tokens,
            "output_tokens": event.output_tokens,
            "usage_source": event.usage_source,
            "held_tokens": event.held_tokens,
            "time_to_first_token_ms": event.time_to_first_token_ms,
            "duration_ms": event.duration_ms,
        },
    )


def _measure(event: RequestRecorded) -> None:
    labels = (_OPERATIONS.get(event.endpoint, str(event.endpoint)), event.model)
    error = (
        "" if event.outcome is Outcome.COMPLETE and event.http_status < 400 else str(event.http_status) if event.http_status >= 400 else event.outcome
    )
    telemetry.GEN_AI_DURATION.labels(*labels, error).observe(event.duration_ms / 1000)
    if event.http_status >= 400:
        return
    telemetry.GEN_AI_TOKENS.labels(*labels, "input").observe(event.input_tokens)
    telemetry.GEN_AI_TOKENS.labels(*labels, "output").observe(event.output_tokens)
    first = event.time_to_first_token_ms
    if first is not None:
        telemetry.GEN_AI_TO_FIRST_TOKEN.labels(*labels).observe(first / 1000)
        if event.output_tokens > 1:
            telemetry.GEN_AI_PER_TOKEN.labels(*labels).observe((event.duration_ms - first) / 1000 / (event.output_tokens - 1))
