"""What is told of requests when they have ended: one access line for each, and the metrics."""

from collections.abc import Sequence
from functools import lru_cache

from prometheus_client import Counter, Histogram

from ias import logs, telemetry
from ias.context import RequestContext
from ias.endpoints import Endpoint
from ias.usage_event import Outcome, RequestRecorded, UsageSource

log = logs.get(__name__)

_QUIET_MS = 60_000
_OPERATIONS = {
    Endpoint.CHAT_COMPLETIONS: "chat",
    Endpoint.RESPONSES: "chat",
    Endpoint.MESSAGES: "chat",
    Endpoint.COMPLETIONS: "text_completion",
    Endpoint.EMBEDDINGS: "embeddings",
}
"""`gen_ai.operation.name`."""


def report(events: Sequence[RequestRecorded]) -> None:
    """Count events and write their lines; neither holds anything of the content."""
    for event in events:
        _series(event.endpoint, event.model, event.outcome, event.http_status, event.usage_source).add(event)
    logs.write_lines("request", map(_line, events))


def _line(event: RequestRecorded) -> dict[str, object]:
    return {
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
    }


class EngineRefusals:
    """Engines that refuse what the gateway shows them: each answer is counted, and for each model a line a minute says it."""

    def __init__(self) -> None:
        self._quiet_until: dict[str, int] = {}
        """By model, wall clock milliseconds."""

    def note(self, context: RequestContext, status: int, now_ms: int) -> None:
        """An engine answered 401 or 403."""
        telemetry.ENGINE_REFUSALS.labels(context.model, status).inc()
        if now_ms < self._quiet_until.get(context.model, 0):
            return
        self._quiet_until[context.model] = now_ms + _QUIET_MS
        log.error(
            "an engine refuses the gateway's credential: look at `credential` of the model's backends",
            model=context.model,
            upstream_model=context.upstream_model,
            status=status,
            request_id=context.request_id,
        )


class _Series:
    """The metrics of events that are alike. To look series up by their labels costs more than to count in them."""

    def __init__(self, endpoint: Endpoint, model: str, outcome: Outcome, status: int, source: UsageSource) -> None:
        labels = (_OPERATIONS.get(endpoint, str(endpoint)), model)
        error = str(status) if status >= 400 else "" if outcome is Outcome.COMPLETE else str(outcome)
        self._events: Counter = telemetry.EVENTS.labels(outcome)
        self._input: Counter = telemetry.TOKENS.labels("input", source)
        self._output: Counter = telemetry.TOKENS.labels("output", source)
        self._duration: Histogram = telemetry.GEN_AI_DURATION.labels(*labels, error)
        self._is_answer = status < 400
        if self._is_answer:
            self._inputs: Histogram = telemetry.GEN_AI_TOKENS.labels(*labels, "input")
            self._outputs: Histogram = telemetry.GEN_AI_TOKENS.labels(*labels, "output")
            self._to_first: Histogram = telemetry.GEN_AI_TO_FIRST_TOKEN.labels(*labels)
            self._per_token: Histogram = telemetry.GEN_AI_PER_TOKEN.labels(*labels)

    def add(self, event: RequestRecorded) -> None:
        self._events.inc()
        self._input.inc(event.input_tokens)
        self._output.inc(event.output_tokens)
        self._duration.observe(event.duration_ms / 1000)
        if not self._is_answer:
            return
        self._inputs.observe(event.input_tokens)
        self._outputs.observe(event.output_tokens)
        first = event.time_to_first_token_ms
        if first is not None:
            self._to_first.observe(first / 1000)
            if event.output_tokens > 1:
                self._per_token.observe((event.duration_ms - first) / 1000 / (event.output_tokens - 1))


_series = lru_cache(4096)(_Series)
