"""HTTP/1.1 from the engine's side, with the wire in hand: interim answers, trailers, chunks cut anywhere, resets.

A server for tests needs what frameworks hide. Parsing and framing are h11's; one task answers one request, and is cancelled when
its client goes, as an engine stops generating.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence

import h11

_LINGER_ZERO = struct.pack("ii", 1, 0)
_MAX_HEAD_BYTES = 256 * 1024

Header = tuple[str, str]


class Exchange:
    """One request, and the way to answer it: `start`, any number of `write`, `finish`; or `reset` at any point."""

    def __init__(self, connection: "Connection", head: h11.Request, body: bytes) -> None:
        self._connection = connection
        self.method = head.method.decode()
        self.path = head.target.decode("latin-1").partition("?")[0]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        self.body = body

    def inform(self, status: int, headers: Sequence[Header] = ()) -> None:
        """Send an interim answer (1xx) before the answer."""
        self._connection.send(h11.InformationalResponse(status_code=status, headers=list(headers)))

    def start(self, status: int, headers: Sequence[Header], length: int | None = None) -> None:
        """Send the head; without a length the body comes in chunks."""
        framing = ("transfer-encoding", "chunked") if length is None else ("content-length", str(length))
        self._connection.send(h11.Response(status_code=status, headers=[*headers, framing]))

    async def write(self, data: bytes) -> None:
        """Send bytes of the body, as one chunk; wait while the client reads too slowly."""
        self._connection.send(h11.Data(data=data))
        await self._connection.writable.wait()

    def finish(self, trailers: Sequence[Header] = ()) -> None:
        """End the body."""
        self._connection.send(h11.EndOfMessage(headers=list(trailers)))

    async def reset(self) -> None:
        """Reset the connection (TCP RST). What was sent before may still arrive; nothing follows, and this does not return."""
        self._connection.reset()
        await asyncio.Event().wait()

    async def reply(self, status: int, content_type: str, body: bytes) -> None:
        """Send a whole answer at once."""
        self.start(status, [("content-type", content_type)], len(body))
        await self.write(body)
        self.finish()


Answer = Callable[[Exchange], Awaitable[None]]


class Connection(asyncio.Protocol):
    """A client's connection: its requests one after the other."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._transport: asyncio.Transport | None = None
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    # --- what asyncio says ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._advance()

    def eof_received(self) -> bool:
        return False  # a client that sends no more is gone: the connection closes

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    # --- what an exchange does ---

    def send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data and self._transport is not None:
            self._transport.write(data)

    def reset(self) -> None:
        if self._transport is None:
            return
        connection: socket.socket = self._transport.get_extra_info("socket")
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._transport.abort()

    # --- requests ---

    def _advance(self) -> None:
        try:
            while (event := self._http.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
                if isinstance(event, h11.ConnectionClosed):
                    return self._close()
                self._take(event)
        except h11.RemoteProtocolError:
            self._close()

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._head, self._body = event, bytearray()
            if self._http.they_are_waiting_for_100_continue:
                self.send(h11.InformationalResponse(status_code=100, headers=[]))
        elif isinstance(event, h11.Data):
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert self._head is not None
            self._task = asyncio.create_task(self._serve(Exchange(self, self._head, bytes(self._body))))

    async def _serve(self, exchange: Exchange) -> None:
        await self._answer(exchange)
        self._task = None
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._advance()
        else:
            self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def serve(answer: Answer, listen: str) -> asyncio.Server:
    """Listen at `host:port` or `unix:/path`."""
    loop = asyncio.get_running_loop()
    if listen.startswith("unix:"):
        return await loop.create_unix_server(lambda: Connection(answer), listen.removeprefix("unix:"))
    host, _, port = listen.rpartition(":")
    return await loop.create_server(lambda: Connection(answer), host.strip("[]"), int(port), backlog=4096)
