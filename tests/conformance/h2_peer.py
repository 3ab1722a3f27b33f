"""A gRPC client driven by hand: Python's `h2` on a socket. It gives the server room when it is told to, and can say odd things."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes, Settings

from ias.transport import Server
from tests.support.http2 import CONTINUATION, END_HEADERS, GOAWAY, HEADERS, frame, framed, request_fields

_DEADLINE_S = 60


@dataclass
class Answer:
    """What came back on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    reset: int | None = None

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None

    @property
    def status(self) -> str | None:
        """`grpc-status`, also of an answer that is nothing but trailers."""
        return self.trailers.get("grpc-status", self.headers.get("grpc-status"))

    def messages(self) -> list[bytes]:
        """The whole messages so far."""
        found, rest = [], bytes(self.data)
        while len(rest) >= 5 and len(rest) >= (end := 5 + int.from_bytes(rest[1:5], "big")):
            found.append(rest[5:end])
            rest = rest[end:]
        return found


class Peer:
    """One connection. Nothing is read but while something is waited for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int) -> None:
        self._reader, self._writer = reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.gives_room = True
        self.answers: defaultdict[int, Answer] = defaultdict(Answer)
        self.events: list[h2.events.Event] = []
        self.goaway: int | None = None
        self._unread = b""
        self.h2.initiate_connection()
        self.flush()

    # --- calls ---

    def open(self, path: str, *metadata: tuple[str, str], content_type: str = "application/grpc") -> int:
        """Send the headers of a call and return its stream."""
        stream_id: int = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, [*request_fields(path, content_type), *metadata])
        self.flush()
        return stream_id

    async def send(self, stream_id: int, data: bytes, *, end: bool = False, at_once: int = 1 << 24) -> None:
        """Send data in frames of at most `at_once` bytes as the server gives room."""
        at = 0
        while at < len(data):
            size = min(at_once, self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size, len(data) - at)
            if not size:
                await self.step()
                continue
            self.h2.send_data(stream_id, data[at : at + size])
            at += size
            self.flush()
        if end:
            self.end(stream_id)

    def end(self, stream_id: int) -> None:
        self.h2.end_stream(stream_id)
        self.flush()

    def cancel(self, stream_id: int) -> None:
        self.h2.reset_stream(stream_id, 8)
        self.flush()

    async def unary(self, path: str, message: bytes, *metadata: tuple[str, str]) -> Answer:
        """Make a whole call."""
        stream_id = self.open(path, *metadata)
        await self.send(stream_id, framed(message), end=True)
        return await self.answer(stream_id)

    async def answer(self, stream_id: int) -> Answer:
        """Wait until a call is over."""
        await self.until(lambda: self.answers[stream_id].over)
        return self.answers[stream_id]

    async def messages(self, stream_id: int, count: int) -> list[bytes]:
        """Wait until so many messages have come."""
        await self.until(lambda: len(self.answers[stream_id].messages()) >= count)
        return self.answers[stream_id].messages()

    # --- room for the server ---

    def set_window(self, size: int) -> None:
        """Announce another INITIAL_WINDOW_SIZE."""
        self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: size})
        self.flush()

    def give(self, room: int, stream_id: int | None = None) -> None:
        """Send a WINDOW_UPDATE, of the connection or of a stream."""
        self.h2.increment_flow_control_window(room, stream_id)
        self.flush()

    # --- the connection ---

    def say(self, data: bytes) -> None:
        """Send bytes that `h2` knows nothing of."""
        self._writer.write(data)

    def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())

    def in_pieces(self, *sizes: int) -> None:
        """Send the headers that `h2` has ready as a HEADERS frame and CONTINUATIONs of these sizes, the last of what is left."""
        head = self.h2.data_to_send(9)
        stream_id, block = int.from_bytes(head[5:], "big"), self.h2.data_to_send(int.from_bytes(head[:3], "big"))
        for number, size in enumerate(sizes):
            self.say(frame(CONTINUATION if number else HEADERS, 0, stream_id, block[:size]))
            block = block[size:]
        self.say(frame(CONTINUATION, END_HEADERS, stream_id, block))

    async def until(self, probe: Callable[[], object]) -> None:
        """Read until `probe` is true."""
        async with asyncio.timeout(_DEADLINE_S):
            while not probe():
                await self.step()

    async def ping(self) -> None:
        """There and back: the server has seen all that was sent before, and has sent what it made of it at once."""
        before = len(self.events)
        self.h2.ping(b"there?  ")
        self.flush()
        await self.until(lambda: any(isinstance(event, h2.events.PingAckReceived) for event in self.events[before:]))

    async def step(self) -> None:
        """Read once and take note."""
        data = await self._reader.read(1 << 16)
        if not data:
            raise ConnectionError(f"the server closed the connection (GOAWAY {self.goaway})")
        events: Sequence[h2.events.Event] = self.h2.receive_data(self._but_goaway(data))
        for event in events:
            self.events.append(event)
            self._note(event)
        self.flush()

    def _but_goaway(self, data: bytes) -> bytes:
        """Whole frames without GOAWAY: behind one `h2` takes nothing more, though open streams go on (RFC 9113 §6.8)."""
        self._unread += data
        others = b""
        while len(self._unread) >= 9 and len(self._unread) >= (end := 9 + int.from_bytes(self._unread[:3], "big")):
            whole, self._unread = self._unread[:end], self._unread[end:]
            if whole[3] == GOAWAY:
                self.goaway = int.from_bytes(whole[13:17], "big")
            else:
                others += whole
        return others

    def _note(self, event: h2.events.Event) -> None:
        answer = self.answers[getattr(event, "stream_id", None) or 0]
        if isinstance(event, h2.events.ResponseReceived):
            answer.headers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            answer.data += event.data
            if self.gives_room:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = dict(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = event.error_code

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


async def connect(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which nothing was said yet."""
    if server.address.startswith("unix:"):
        return await asyncio.open_unix_connection(server.address.removeprefix("unix:"))
    host, _, port = server.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


@contextlib.asynccontextmanager
async def peer(server: Server, window: int = 65_535) -> AsyncIterator[Peer]:
    """Connect; `window` is the room for each answer in the beginning."""
    opened = Peer(*await connect(server), window)
    try:
        yield opened
    finally:
        await opened.close()
