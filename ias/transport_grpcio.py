"""The transport on `grpc.aio`: the reference, and what grpcurl and grpc health clients talk to."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from ias import logs
from ias.health import Health
from ias.listen import free_unix_path
from ias.transport import (
    Call,
    ListenOptions,
    Metadata,
    Method,
    Status,
    StreamMachine,
    StreamMethod,
    Tls,
    UnaryBatch,
    UnaryMethod,
    custom_metadata,
)

log = logs.get(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_INTERNAL = (Status.INTERNAL, "internal error")
_MAX_UNSENT = 64
"""Messages that wait for the peer to read; above it nothing more is read from the peer."""
_CANCEL_FOLLOWS_S = 5
"""Longer than the moment between a failed write and the cancel of its RPC; the cancel ends the wait."""

_Context = Any  # grpc.aio.ServicerContext; grpcio ships no types


class GrpcioServer:
    """Carries both handler shapes on one `grpc.aio` server."""

    def __init__(self, methods: Sequence[Method], options: ListenOptions) -> None:
        self.address = options.address
        self._health = Health(options.services)
        self._tls = _credentials(options.tls) if options.tls else None
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", options.limits.max_message_bytes),
                ("grpc.max_send_message_length", options.limits.max_message_bytes),
                ("grpc.max_concurrent_streams", options.limits.max_streams),
                ("grpc.so_reuseport", 0),
            ]
        )
        for method in (*methods, self._health.method()):
            service, _, name = method.path.removeprefix("/").partition("/")
            handler = (
                grpc.unary_unary_rpc_method_handler(_Batcher(method.handle).serve)
                if isinstance(method, UnaryMethod)
                else grpc.stream_stream_rpc_method_handler(_serve_streams(method))
            )
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))

    async def start(self) -> None:
        if self.address.startswith("unix:"):
            free_unix_path(self.address)
        try:
            port = self._server.add_secure_port(self.address, self._tls) if self._tls else self._server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self.address}") from error
        if not self.address.startswith("unix:"):
            self.address = f"{self.address.rpartition(':')[0]}:{port}"
        await self._server.start()

    async def drain(self, grace_s: float) -> None:
        self._health.stop_serving()
        await self._server.stop(grace_s)
        # grpc.aio's tasks outlive its stop by some turns of the loop; a loop that closes meanwhile would make them log errors.
        if rpcs := [task for task in asyncio.all_tasks() if task.get_name() == "rpc_task"]:
            await asyncio.wait(rpcs, timeout=1)


@dataclass(frozen=True, slots=True)
class _Failure:
    status: Status
    reason: str


class _UnaryCall:
    """A call whose answer is a future that the RPC's coroutine awaits; it is done already when the peer has gone."""

    __slots__ = ("_answer", "_context", "message")

    def __init__(self, message: bytes, context: _Context, answer: "asyncio.Future[bytes | _Failure]") -> None:
        self.message = message
        self._context = context
        self._answer = answer

    @property
    def deadline(self) -> float | None:
        return _deadline(self._context)

    @property
    def metadata(self) -> Metadata:
        return custom_metadata(self._context.invocation_metadata())

    def reply(self, message: bytes) -> None:
        if not self._answer.done():
            self._answer.set_result(message)

    def fail(self, status: Status, reason: str) -> None:
        if not self._answer.done():
            self._answer.set_result(_Failure(status, reason))


class _Batcher:
    """Collects the calls of one turn of the loop and hands them over together."""

    def __init__(self, handle: UnaryBatch) -> None:
        self._handle = handle
        self._waiting: list[Call] = []

    async def serve(self, message: bytes, context: _Context) -> bytes | None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes | _Failure] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append(_UnaryCall(message, context, answer))
        result = await answer
        if isinstance(result, _Failure):
            await _abort(context, result.status, result.reason)
            return None
        return result

    def _flush(self) -> None:
        calls, self._waiting = self._waiting, []
        try:
            self._handle(calls)
        except Exception:
            log.exception("unary handler failed")
            for call in calls:
                call.fail(*_INTERNAL)


def _serve_streams(method: StreamMethod) -> Callable[[object, _Context], Awaitable[None]]:
    async def serve(_: object, context: _Context) -> None:
        await _StreamRpc(context, method).run()

    return serve


class _StreamRpc:
    """One bidirectional RPC. Its own task writes and a second one reads, so that neither direction waits for the other.

    grpc.aio cancels the RPC's task when the peer cancels or is gone. Whatever happens first, the machine hears of one end.
    """

    __slots__ = ("_context", "_ended", "_failure", "_machine", "_method", "_room", "_told", "_unsent", "_work")
    _machine: StreamMachine

    def __init__(self, context: _Context, method: StreamMethod) -> None:
        self._context = context
        self._method = method
        self._unsent: deque[bytes] = deque()
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._told = False
        self._failure: tuple[Status, str] | None = None

    @property
    def deadline(self) -> float | None:
        return _deadline(self._context)

    @property
    def metadata(self) -> Metadata:
        return custom_metadata(self._context.invocation_metadata())

    def send(self, messages: Sequence[bytes]) -> None:
        if not self._ended:
            self._queue(messages)

    def end(self, status: Status = Status.OK, reason: str = "") -> None:
        self._told = True
        if not self._ended:
            self._ended = True
            self._failure = None if status is Status.OK else (status, reason)
            self._work.set()

    async def run(self) -> None:
        try:
            self._machine = self._method.open(self)
        except Exception:
            log.exception("stream handler failed to open")
            await _abort(self._context, *_INTERNAL)
            return
        rpc = asyncio.current_task()
        assert rpc is not None
        reader = asyncio.create_task(self._read(rpc))
        try:
            await self._write()
            if self._failure:
                await _abort(self._context, *self._failure)
        except asyncio.CancelledError:
            self._abort_machine()
            raise
        except grpc.aio.InternalError:
            # A write failed because the peer is gone. grpc.aio logs an error if this surfaces before it has noticed the same and cancels.
            self._abort_machine()
            await asyncio.sleep(_CANCEL_FOLLOWS_S)
            raise
        finally:
            reader.cancel()

    async def _write(self) -> None:
        """Send what is queued until the stream has ended; raise what grpc.aio raises when the peer is gone."""
        while True:
            while self._unsent:
                await self._context.write(self._unsent.popleft())
            self._room.set()
            if self._ended:
                return
            self._work.clear()
            await self._work.wait()

    async def _read(self, rpc: "asyncio.Task[Any]") -> None:
        """Feed the machine until one side ends."""
        while (message := await self._context.read()) is not grpc.aio.EOF:
            if self._told:
                return
            self._feed(message)
            if len(self._unsent) > _MAX_UNSENT:
                self._room.clear()
                await self._room.wait()
        # A cancel reads as EOF too. Behind a second read its own event has arrived for certain: it cancels the RPC's task.
        await self._context.read()
        if not rpc.cancelling():
            self._finish()

    def _feed(self, message: bytes) -> None:
        try:
            # Even if the machine ends the stream in this call, what it returns is still sent before the end.
            self._queue(self._machine.on_message(message))
        except Exception:
            log.exception("stream handler failed")
            self._abort_machine()
            self.end(*_INTERNAL)
        self._commit()

    def _finish(self) -> None:
        if self._told:
            return
        self._told = True
        try:
            self._machine.on_end()
        except Exception:
            log.exception("stream handler failed at the end")
            self.end(*_INTERNAL)
        self._commit()
        self.end()

    def _abort_machine(self) -> None:
        if self._told:
            return
        self._told = True
        try:
            self._machine.on_abort()
        except Exception:
            log.exception("stream handler failed at an abort")
        self._commit()

    def _commit(self) -> None:
        try:
            self._method.commit()
        except Exception:
            log.exception("stream handler failed to commit")

    def _queue(self, messages: Sequence[bytes]) -> None:
        self._unsent.extend(messages)
        self._work.set()


def _deadline(context: _Context) -> float | None:
    remaining: float | None = context.time_remaining()
    return None if remaining is None else asyncio.get_running_loop().time() + remaining


def _credentials(tls: Tls) -> Any:
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=tls.client_ca.read_bytes() if tls.client_ca else None,
        require_client_auth=tls.client_ca is not None,
    )


async def _abort(context: _Context, status: Status, reason: str) -> None:
    """End an RPC with a status. The peer may have gone meanwhile: then there is nobody to tell."""
    with contextlib.suppress(grpc.aio.InternalError):
        await context.abort(_CODES[status], reason)
