"""`ExternalProcessor/Process`: one stream for each request, between the transport and the pure machine."""

import asyncio
from collections.abc import Callable, Sequence

from google.protobuf.message import DecodeError

import protos
from extproc.machine import Machine, Rules, Step
from extproc.ports import Claims, Spool, SpoolUnavailable
from ias import logs, telemetry
from ias.transport import Status, Stream, StreamMachine, StreamMethod
from ias.usage_event import Outcome, RequestRecorded
from protos.ext_proc_pb2 import ProcessingRequest

log = logs.get(__name__)
_access = logs.get("access")


class ProcessService:
    """Follows requests. A record is in the spool before Envoy gets the reply that it belongs to."""

    def __init__(self, rules: Rules, spool: Spool, claims: Claims, clock_ms: Callable[[], int]) -> None:
        self.rules, self.spool, self.claims, self.clock_ms = rules, spool, claims, clock_ms
        self._followed: set[_RequestStream] = set()
        self._idle = asyncio.Event()

    def method(self) -> StreamMethod:
        """The handler for the server."""
        return StreamMethod(protos.PROCESS, self._open)

    def opened(self, stream: "_RequestStream") -> None:
        """A stream follows a request now."""
        self._followed.add(stream)
        telemetry.STREAMS_OPEN.set(len(self._followed))

    def recorded(self, stream: "_RequestStream", event: RequestRecorded) -> None:
        """A request has ended: this is its one event."""
        self.spool.close(event)
        self._followed.discard(stream)
        if not self._followed:
            self._idle.set()
        telemetry.STREAMS_OPEN.set(len(self._followed))
        telemetry.EVENTS.labels(event.outcome).inc()
        telemetry.TOKENS.labels("input", event.usage_source).inc(event.input_tokens)
        telemetry.TOKENS.labels("output", event.usage_source).inc(event.output_tokens)
        _log_access(event)

    async def drain(self, grace_s: float) -> None:
        """Wait until every followed request has ended; after `grace_s` seconds cut those that have not, as lost."""
        try:
            async with asyncio.timeout(grace_s):
                while self._followed:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            log.warning("streams are cut", streams=len(self._followed), after_s=grace_s)
            for stream in list(self._followed):
                stream.cut()

    def _open(self, stream: Stream) -> StreamMachine:
        return _RequestStream(self, stream)


class _RequestStream:
    """A `StreamMachine` of the transport."""

    __slots__ = ("_machine", "_service", "_stream")

    def __init__(self, service: ProcessService, stream: Stream) -> None:
        self._service = service
        self._stream = stream
        self._machine = Machine(service.rules)

    def on_message(self, message: bytes) -> Sequence[bytes]:
        try:
            request = ProcessingRequest.FromString(message)
        except DecodeError:
            self.on_abort()
            self._stream.end(Status.INVALID_ARGUMENT, "not a ProcessingRequest")
            return ()
        step = self._machine.receive(request, self._service.clock_ms())
        if step.opened is not None:
            step = self._record_opened(step)
        if step.refused is not None:
            telemetry.CONTEXT_REFUSED.inc()
            log.warning("request without a valid context refused", request_id=self._machine.request_id, reason=step.refused)
        if step.event is not None:
            self._service.recorded(self, step.event)
        if not step.last:
            return step.replies
        # Envoy must have the last reply before the end: a stream that ends first loses what it answered.
        self._stream.send(step.replies)
        self._stream.end()
        return ()

    def on_end(self) -> None:
        self._stop(Outcome.CLIENT_ABORT)

    def on_abort(self) -> None:
        self._stop(Outcome.CLIENT_ABORT)

    def cut(self) -> None:
        """The process stops: nobody will see how this ends."""
        self._stop(Outcome.LOST)
        self._stream.end(Status.UNAVAILABLE, "shutting down")

    def _record_opened(self, step: Step) -> Step:
        assert step.opened is not None
        try:
            self._service.spool.open(step.opened)
        except SpoolUnavailable as error:
            log.error("request refused, it could not be recorded", request_id=self._machine.request_id, error=str(error))
            return self._machine.unrecorded()
        self._service.claims.add(step.opened.context.org_id, step.opened.context.reservation_id)
        self._service.opened(self)
        return step

    def _stop(self, outcome: Outcome) -> None:
        event = self._machine.stop(self._service.clock_ms(), outcome)
        if event is not None:
            self._service.recorded(self, event)


def _log_access(event: RequestRecorded) -> None:
    _access.info(
        "request",
        request_id=event.request_id,
        event_id=event.event_id,
        org_id=event.org_id,
        key_id=event.key_id,
        model=event.model,
        endpoint=event.endpoint,
        stream=event.stream,
        status=event.http_status,
        outcome=event.outcome,
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        usage_source=event.usage_source,
        time_to_first_token_ms=event.time_to_first_token_ms,
        duration_ms=event.duration_ms,
    )
