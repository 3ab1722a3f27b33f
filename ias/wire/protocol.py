"""A connection's socket: what one read brought is handled as one batch, and what that made is written at once."""

import asyncio
from collections.abc import Sequence

from ias import logs
from ias.transport import Method, Status, StreamMethod, UnaryMethod
from ias.wire.connection import Connection
from ias.wire.counts import Counts
from ias.wire.errors import ErrorCode
from ias.wire.events import CallReceived, ConnectionClosing, Event, MessageReceived, StreamAborted, StreamEnded, StreamOpened, StreamRefused
from ias.wire.handlers import Outlet, WireCall, WireStream, commit_all, handle_batch
from ias.wire.limits import Limits
from ias.wire.rates import Rate
from ias.wire.streams import Shape

log = logs.get(__name__)
_WRITE_BUFFER_BYTES = 1024 * 1024
_LINGER_S = 2.0
"""For the peer to close after our last byte: a socket that is closed with bytes unread loses those that its peer has not read."""
_LOGGED_PER_S = 10


class Site:
    """What all connections of a server share."""

    def __init__(self, methods: Sequence[Method], limits: Limits) -> None:
        self.unary = {method.path: method.handle for method in methods if isinstance(method, UnaryMethod)}
        self.streams = {method.path: method.open for method in methods if isinstance(method, StreamMethod)}
        self.commits = [method.commit for method in methods if isinstance(method, StreamMethod)]
        self.shapes = dict.fromkeys(self.unary, Shape.UNARY) | dict.fromkeys(self.streams, Shape.STREAM)
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.counts = Counts()
        self.connections: set[WireProtocol] = set()
        self.is_draining = False
        self.nobody = asyncio.Event()
        """There is no connection."""
        self.nobody.set()
        self.logged = Rate(_LOGGED_PER_S)


class WireProtocol(asyncio.Protocol):
    """One accepted connection."""

    _transport: asyncio.Transport

    def __init__(self, site: Site) -> None:
        self._site = site
        self._loop = site.loop
        self._counts = site.counts
        self._connection = Connection(site.limits, site.shapes, self._loop.time())
        self._outlet = Outlet(self._connection, site.counts, self._wake)
        self._will_flush = False
        """What commands make will be written without any more calls of `_wake`."""
        self._leaves_at: float | None = None

    # --- asyncio ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # streams have this kind
        self._transport = transport
        site = self._site
        tls = transport.get_extra_info("ssl_object")
        if len(site.connections) >= site.limits.max_connections or (tls is not None and tls.selected_alpn_protocol() not in {"h2", None}):
            self._counts.errors["connection_refused"] += 1
            transport.abort()
            return
        site.connections.add(self)
        site.nobody.clear()
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        if site.is_draining:
            self._connection.drain(self._loop.time())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._counts.bytes_received += len(data)
        self._will_flush = True
        self._dispatch(self._connection.receive(data, self._loop.time()))
        self._flush()

    def pause_writing(self) -> None:
        self._connection.hold_messages()
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._connection.release_messages()
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._wake()

    def connection_lost(self, _: Exception | None) -> None:
        self._will_flush = True  # there is nothing to write to
        self._site.connections.discard(self)
        if not self._site.connections:
            self._site.nobody.set()
        self._dispatch(self._connection.lost())

    # --- the server ---

    @property
    def live_streams(self) -> int:
        """Calls and streams that have not ended."""
        return self._connection.live_streams

    def tick(self, now: float) -> None:
        """Do what time asks for."""
        if self._leaves_at is not None and now >= self._leaves_at:
            self.abort()
            return
        self._will_flush = True
        self._dispatch(self._connection.tick(now))
        self._flush()

    def drain(self) -> None:
        """Take nothing new, and close when nothing runs any more."""
        self._connection.drain(self._loop.time())
        self._wake()

    def close(self) -> None:
        """End all that runs as UNAVAILABLE, and then the connection."""
        self._will_flush = True
        self._connection.close(Status.UNAVAILABLE, "the server stops")
        self._flush()

    def abort(self) -> None:
        """Close without a word."""
        self._transport.abort()

    # --- within ---

    def _wake(self) -> None:
        """Have commands of this turn of the loop written together."""
        if not self._will_flush:
            self._will_flush = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        connection = self._connection
        while events := connection.take_events():  # of commands
            self._dispatch(events)
        data = connection.data_to_send()
        self._will_flush = False
        if data and self._leaves_at is None and not self._transport.is_closing():
            self._counts.bytes_sent += len(data)
            self._transport.write(data)
        if connection.is_finished and self._leaves_at is None:
            self._leave()

    def _leave(self) -> None:
        self._leaves_at = self._loop.time() + _LINGER_S
        if not self._transport.can_write_eof() or self._transport.is_closing():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # the peer has gone, which we have not been told yet
            self._transport.abort()

    def _dispatch(self, events: list[Event]) -> None:
        streams, counts = self._outlet.streams, self._counts
        batches: dict[str, list[WireCall]] = {}
        for event in events:
            if isinstance(event, MessageReceived):
                counts.messages_received += 1
                stream = streams.get(event.stream_id)
                if stream is not None:
                    stream.feed(event.message)
            elif isinstance(event, CallReceived):
                call = WireCall(event, self._outlet)
                if event.path in batches:
                    batches[event.path].append(call)
                else:
                    batches[event.path] = [call]
            elif isinstance(event, StreamOpened):
                counts.streams += 1
                WireStream(event, self._outlet).open(self._site.streams[event.path])
            elif isinstance(event, StreamEnded):
                if (stream := streams.get(event.stream_id)) is not None:
                    stream.finish()
            else:
                self._ended(event, batches)
        for path, calls in batches.items():
            counts.calls += len(calls)
            counts.messages_received += len(calls)
            handle_batch(self._site.unary[path], calls)
        commit_all(self._site.commits)

    def _ended(self, event: StreamAborted | StreamRefused | ConnectionClosing, batches: dict[str, list[WireCall]]) -> None:
        """Something ended that should not have."""
        if isinstance(event, StreamAborted):
            if (stream := self._outlet.streams.get(event.stream_id)) is not None:
                stream.abort()
            for calls in batches.values():  # called and cancelled in one read: spare the handler
                calls[:] = [call for call in calls if call.stream_id != event.stream_id]
        elif isinstance(event, StreamRefused):
            self._counts.errors[event.kind] += 1
        elif event.code is not ErrorCode.NO_ERROR:
            self._counts.errors[event.code.name.lower()] += 1
            if not self._site.logged.exceeded(self._loop.time()):
                log.warning("connection closed for an error of its peer", code=event.code.name, reason=event.reason)
