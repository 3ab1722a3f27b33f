"""What stands around Envoy in this tier: small stand-ins for extauth, extproc and an engine.

They speak the real protocols on the real transport and decide in one line what the real ones decide in many, so that
these tests are about Envoy and its configuration alone. The real services meet in `tests/e2e`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11

from ias import headers
from ias.errors import ApiError, model_not_found
from ias.transport import Call, ListenOptions, Server, Stream, StreamMachine, StreamMethod, UnaryMethod, new_server
from protos import auth_pb2, base_pb2, ext_proc_pb2

GOOD_KEY = "Bearer good"
CONTEXT = "signed-context"
_OVERWRITE = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


class Extauth:
    """Passes requests with `GOOD_KEY` to the model in their body; everything else is a denial with our body."""

    def __init__(self) -> None:
        self.requests: list[auth_pb2.AttributeContext.HttpRequest] = []
        self.answers = True
        self.deny: ApiError | None = None
        self.tells: dict[str, str] = {}
        """Headers for the client of a request that passes."""

    def method(self) -> UnaryMethod:
        return UnaryMethod("/envoy.service.auth.v3.Authorization/Check", self._handle)

    def _handle(self, calls: Sequence[Call]) -> None:
        for call in calls:
            request = auth_pb2.CheckRequest.FromString(call.message).attributes.request.http
            self.requests.append(request)
            if self.answers:
                call.reply(self._decide(request).SerializeToString())

    def _decide(self, request: auth_pb2.AttributeContext.HttpRequest) -> auth_pb2.CheckResponse:
        if self.deny or request.headers.get("authorization") != GOOD_KEY:
            return _denied(self.deny or model_not_found("denied-by-stand-in"))
        model = json.loads(request.raw_body)["model"]
        passed = auth_pb2.OkHttpResponse(headers_to_remove=list(headers.CREDENTIALS))
        for name, value in ((headers.MODEL, model), (headers.CONTEXT, CONTEXT)):
            passed.headers.append(base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=name, value=value), append_action=_OVERWRITE))
        for name, value in self.tells.items():
            passed.response_headers_to_add.append(
                base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=name, value=value), append_action=_OVERWRITE)
            )
        return auth_pb2.CheckResponse(status=base_pb2.RpcStatus(code=0), ok_response=passed)


def _denied(error: ApiError) -> auth_pb2.CheckResponse:
    denied = auth_pb2.DeniedHttpResponse(status=base_pb2.HttpStatus(code=error.status), body=error.openai_body().decode())
    for name, value in (("content-type", "application/json"), *error.headers):
        denied.headers.append(base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=name, value=value), append_action=_OVERWRITE))
    return auth_pb2.CheckResponse(status=base_pb2.RpcStatus(code=16), denied_response=denied)


@dataclass
class Extproc:
    """Asks for the whole request body and for the answer as it streams, like the real one, and changes nothing."""

    requests: list[dict[str, str]] = field(default_factory=list)
    """Request headers of every stream."""
    bodies: list[int] = field(default_factory=list)
    """Sizes of the request bodies that came."""
    answers: bool = True
    refuse: ext_proc_pb2.ImmediateResponse | None = None

    def method(self) -> StreamMethod:
        return StreamMethod("/envoy.service.ext_proc.v3.ExternalProcessor/Process", self._open)

    def _open(self, stream: Stream) -> StreamMachine:
        return _Processing(self)


class _Processing:
    def __init__(self, owner: Extproc) -> None:
        self._owner = owner

    def on_message(self, message: bytes) -> Sequence[bytes]:
        request = ext_proc_pb2.ProcessingRequest.FromString(message)
        if not self._owner.answers:
            return ()
        return (getattr(self, f"_{request.WhichOneof('request')}")(request).SerializeToString(),)

    def on_end(self) -> None:
        pass

    def on_abort(self) -> None:
        pass

    def _request_headers(self, request: ext_proc_pb2.ProcessingRequest) -> ext_proc_pb2.ProcessingResponse:
        self._owner.requests.append({h.key: (h.raw_value or h.value.encode()).decode() for h in request.request_headers.headers.headers})
        if self._owner.refuse is not None:
            return ext_proc_pb2.ProcessingResponse(immediate_response=self._owner.refuse)
        mode = ext_proc_pb2.ProcessingMode
        return ext_proc_pb2.ProcessingResponse(
            request_headers=ext_proc_pb2.HeadersResponse(),
            mode_override=mode(
                request_header_mode=mode.SEND,
                response_header_mode=mode.SEND,
                request_body_mode=mode.NONE if request.request_headers.end_of_stream else mode.BUFFERED,
                response_body_mode=mode.STREAMED,
                request_trailer_mode=mode.SKIP,
                response_trailer_mode=mode.SKIP,
            ),
        )

    def _request_body(self, request: ext_proc_pb2.ProcessingRequest) -> ext_proc_pb2.ProcessingResponse:
        self._owner.bodies.append(len(request.request_body.body))
        return ext_proc_pb2.ProcessingResponse(request_body=ext_proc_pb2.BodyResponse())

    def _response_headers(self, _: ext_proc_pb2.ProcessingRequest) -> ext_proc_pb2.ProcessingResponse:
        return ext_proc_pb2.ProcessingResponse(response_headers=ext_proc_pb2.HeadersResponse())

    def _response_body(self, _: ext_proc_pb2.ProcessingRequest) -> ext_proc_pb2.ProcessingResponse:
        return ext_proc_pb2.ProcessingResponse(response_body=ext_proc_pb2.BodyResponse())


@asynccontextmanager
async def serve(address: str, method: UnaryMethod | StreamMethod) -> AsyncIterator[Server]:
    """Serve one stand-in on the transport that production uses."""
    server = new_server([method], ListenOptions(address))
    await server.start()
    try:
        yield server
    finally:
        await server.drain(0)


@dataclass(frozen=True)
class Received:
    """A request as the engine saw it."""

    method: str
    target: str
    headers: dict[str, str]
    body_bytes: int


Send = Callable[[h11.Event | bytes], Awaitable[None]]
Answer = Callable[[Received, Send], Awaitable[None]]


async def answer_json(request: Received, send: Send) -> None:
    """The ordinary answer: it names itself, so that a test sees which engine a request reached."""
    body = json.dumps({"target": request.target, "body_bytes": request.body_bytes}).encode()
    await send(
        h11.Response(status_code=200, headers=[("content-type", "application/json"), ("content-length", str(len(body))), ("server", "engine")])
    )
    await send(h11.Data(data=body))
    await send(h11.EndOfMessage())


def answer_status(status: int, body: bytes, more: Mapping[str, str] | None = None) -> Answer:
    """An answer, or an error, of the engine's own."""
    head = {"content-type": "text/plain", "content-length": str(len(body)), **(more or {})}

    async def answer(_: Received, send: Send) -> None:
        await send(h11.Response(status_code=status, headers=list(head.items())))
        await send(h11.Data(data=body))
        await send(h11.EndOfMessage())

    return answer


def answer_events(count: int, every_s: float) -> Answer:
    """A stream of server-sent events."""

    async def answer(_: Received, send: Send) -> None:
        await send(h11.Response(status_code=200, headers=[("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]))
        for number in range(count):
            await send(h11.Data(data=f"data: {number}\n\n".encode()))
            await asyncio.sleep(every_s)
        await send(h11.EndOfMessage())

    return answer


async def answer_never(_: Received, send: Send) -> None:
    await asyncio.Event().wait()


async def answer_garbage(_: Received, send: Send) -> None:
    """Not HTTP at all."""
    await send(b"this is not HTTP\r\n\r\n")


class Engine:
    """An HTTP/1.1 server that records what it gets and answers as told."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Answer = answer_json
        self.url = ""

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator["Engine"]:
        connections: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                await self._converse(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                connections.discard(task)
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in tuple(connections):
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=128 * 1024)

        async def send(event: h11.Event | bytes) -> None:
            data = event if isinstance(event, bytes) else connection.send(event)
            if data:
                writer.write(data)
                await writer.drain()
            if isinstance(event, bytes):
                raise ConnectionAbortedError

        while (request := await _next_request(connection, reader)) is not None:
            self.received.append(request)
            await self.answer(request, send)
            connection.start_next_cycle()


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> Received | None:
    head: h11.Request | None = None
    size = 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            size += len(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            return Received(head.method.decode(), head.target.decode(), {k.decode(): v.decode() for k, v in head.headers}, size)
        else:
            return None
