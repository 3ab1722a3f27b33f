"""`ExternalProcessor/Process`: one stream for each request, between the transport and the pure machine."""

import asyncio
from collections.abc import Callable, Sequence

from google.protobuf.message import DecodeError

import protos
from extproc.learning import Learned
from extproc.machine import Machine, Rules, Step
from extproc.ports import Holds, Spool, SpoolUnavailable
from extproc.recording import closed
from extproc.reporting import EngineRefusals, report
from ias import logs, telemetry
from ias.context import RequestContext
from ias.spool_format import Opened
from ias.transport import Status, Stream, StreamMachine, StreamMethod
from ias.usage_event import Outcome, RequestRecorded
from protos.ext_proc_pb2 import ProcessingRequest
from ratelimit.ports import Held

log = logs.get(__name__)


class ProcessService:
    """Follows requests. A record is in the spool before Envoy gets the reply that it belongs to: `commit` writes those of many at once."""

    def __init__(self, rules: Rules, spool: Spool, holds: Holds, clock_ms: Callable[[], int], patience_s: float = 0.02) -> None:
        self.rules, self.spool, self.holds, self.clock_ms, self.patience_s = rules, spool, holds, clock_ms, patience_s
        self.learned = Learned()
        self.engine_refusals = EngineRefusals()
        self._opening: list[_RequestStream] = []
        self._ended: list[RequestRecorded] = []
        self._unreported: list[RequestRecorded] = []
        """Recorded, and waits for `report`."""
        self._followed: set[_RequestStream] = set()
        self._idle = asyncio.Event()
        self._top_ups: set[asyncio.Task[None]] = set()

    def method(self) -> StreamMethod:
        """The handler for the server."""
        return StreamMethod(protos.PROCESS, self._open, self.commit)

    def opening(self, stream: "_RequestStream", opened: Opened) -> None:
        """A stream is to follow a request once that is recorded. Raises SpoolUnavailable."""
        self.spool.open(opened)
        self._opening.append(stream)

    def followed(self, stream: "_RequestStream", context: RequestContext) -> None:
        """A stream follows a request now."""
        self.holds.begin(context, stream.used_tokens)
        self._followed.add(stream)

    def recorded(self, stream: "_RequestStream", context: RequestContext, event: RequestRecorded) -> None:
        """A request has ended: this is its one event."""
        self.spool.close(closed(context, event))
        self.holds.end(context.reservation_id)
        self._followed.discard(stream)
        self._ended.append(event)

    def commit(self) -> None:
        """Write what was opened and recorded since the last call; then what was opened is followed, or refused where it cannot be written."""
        opening, self._opening = self._opening, []
        ended, self._ended = self._ended, []
        refused: SpoolUnavailable | None = None
        try:
            self.spool.write()
        except SpoolUnavailable as error:
            refused = error
        for stream in opening:
            stream.on_recorded(refused)
        if ended:
            self._unreported += ended
            if not self._followed:
                self._idle.set()

    def report(self) -> None:
        """Write the lines and metrics of what has ended since the last call. No client waits for it."""
        ended, self._unreported = self._unreported, []
        if ended:
            report(ended)
        telemetry.STREAMS_OPEN.set(len(self._followed))

    def top_up(self, stream: "_RequestStream", context: RequestContext, tokens: int) -> None:
        """Ask the store for more, and tell the stream what it said."""
        task = asyncio.ensure_future(self._top_up(stream, context, tokens))
        self._top_ups.add(task)
        task.add_done_callback(self._top_ups.discard)

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
            self.commit()
        self.report()

    async def _top_up(self, stream: "_RequestStream", context: RequestContext, tokens: int) -> None:
        answer = await self.holds.top_up(context, tokens)
        telemetry.TOP_UPS.labels(answer or "away").inc()
        stream.on_topped_up(answer)
        self.commit()

    def _open(self, stream: Stream) -> StreamMachine:
        return _RequestStream(self, stream)


class _RequestStream:
    """A `StreamMachine` of the transport."""

    __slots__ = ("_machine", "_opening", "_patience", "_service", "_stream")

    def __init__(self, service: ProcessService, stream: Stream) -> None:
        self._service = service
        self._stream = stream
        self._machine = Machine(service.rules, service.learned)
        self._patience: asyncio.TimerHandle | None = None
        self._opening: Step | None = None
        """What is to be done once the request is recorded."""

    def on_message(self, message: bytes) -> Sequence[bytes]:
        try:
            request = ProcessingRequest.FromString(message)
        except DecodeError:
            self.on_abort()
            self._stream.end(Status.INVALID_ARGUMENT, "not a ProcessingRequest")
            return ()
        step = self._machine.receive(request, self._service.clock_ms())
        if step.opened is not None:
            return self._record_opened(step, step.opened)
        if step.refused is not None:
            telemetry.CONTEXT_REFUSED.inc()
            log.warning("request without a valid context refused", request_id=self._machine.request_id, reason=step.refused)
        return self._take(step)

    def on_end(self) -> None:
        self._stop(Outcome.CLIENT_ABORT)

    def on_abort(self) -> None:
        self._stop(Outcome.CLIENT_ABORT)

    def on_recorded(self, refused: SpoolUnavailable | None) -> None:
        """The opening of the request is in the spool, or could not be written."""
        step, self._opening = self._opening, None
        context = self._machine.context
        if step is None or context is None or self._machine.is_over:
            return  # ended in the same moment; its event is recorded
        if refused is None:
            self._service.followed(self, context)
        else:
            step = self._refused(refused)
        self._stream.send(self._take(step))

    def on_topped_up(self, answer: Held | None) -> None:
        """The store has answered, or is away (None)."""
        self._lose_timer()
        step = self._machine.topped_up(answer, self._service.clock_ms())
        if step.event is not None:
            telemetry.STREAMS_ENDED.inc()
        self._stream.send(self._take(step))

    def used_tokens(self) -> int:
        """What the request has certainly used so far."""
        return self._machine.used_tokens()

    def cut(self) -> None:
        """The process stops: nobody will see how this ends."""
        self._stop(Outcome.LOST)
        self._stream.end(Status.UNAVAILABLE, "shutting down")

    def _take(self, step: Step) -> Sequence[bytes]:
        """Do what the machine wants done, and return what is left to send."""
        context = self._machine.context
        if step.event is not None and context is not None:
            self._lose_timer()
            self._service.recorded(self, context, step.event)
        if step.engine_refused and context is not None:
            self._service.engine_refusals.note(context, step.engine_refused, self._service.clock_ms())
        if step.top_up and context is not None:
            self._service.top_up(self, context, step.top_up)
        if step.waits and self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(self._service.patience_s, self._lose_patience)
        if not step.last:
            return step.replies
        # Envoy must have the last reply before the end: a stream that ends first loses what it answered.
        self._stream.send(step.replies)
        self._stream.end()
        return ()

    def _record_opened(self, step: Step, opened: Opened) -> Sequence[bytes]:
        try:
            self._service.opening(self, opened)
        except SpoolUnavailable as error:
            return self._take(self._refused(error))
        self._opening = step
        return ()

    def _refused(self, error: SpoolUnavailable) -> Step:
        log.error("request refused, it could not be recorded", request_id=self._machine.request_id, error=str(error))
        return self._machine.unrecorded()

    def _lose_patience(self) -> None:
        self._patience = None
        self._stream.send(self._take(self._machine.lose_patience()))

    def _lose_timer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _stop(self, outcome: Outcome) -> None:
        self._lose_timer()
        event = self._machine.stop(self._service.clock_ms(), outcome)
        if event is not None and self._machine.context is not None:
            self._service.recorded(self, self._machine.context, event)
