"""The sending half of a connection: frames of the peer's size, within its windows, and what waits for them to open."""

from collections import deque
from struct import Struct

from ias.wire import frames
from ias.wire.errors import ConnectionFault, ErrorCode, StreamFault
from ias.wire.header_blocks import NO_DYNAMIC_TABLE
from ias.wire.messages import PREFIX, PREFIX_BYTES
from ias.wire.status import RESPONSE, TRAILERS_OK
from ias.wire.streams import Stream

_QUANTUM = 64 * 1024
"""What one stream sends before the next has its turn, when windows are short."""

# One struct for all frames of a common answer: what they share is packed once, in C.
_MESSAGE = Struct(">IBIBI")
_FIRST_MESSAGE = Struct(f">IBI{len(RESPONSE)}sIBIBI")
_END = Struct(f">IBI{len(TRAILERS_OK)}s")
_RESPONSE_HEAD = len(RESPONSE) << 8 | frames.HEADERS
_END_HEAD = len(TRAILERS_OK) << 8 | frames.HEADERS
_END_FLAGS = frames.END_HEADERS | frames.END_STREAM


class Sender:
    """What goes out on one connection."""

    __slots__ = ("_ready", "_signalled", "initial_window", "is_held", "max_frame", "out", "unsent_bytes", "window")

    def __init__(self) -> None:
        self.out: list[bytes | memoryview] = []
        self.window = frames.DEFAULT_WINDOW
        self.initial_window = frames.DEFAULT_WINDOW
        self.max_frame = frames.DEFAULT_FRAME
        self.is_held = False
        """The socket takes no more: messages wait with their streams."""
        self.unsent_bytes = 0
        """What waits on all streams."""
        self._signalled = False
        self._ready: dict[int, Stream] = {}
        """Streams with room of their own that wait for the connection, in the order of their turns."""

    def message(self, stream: Stream, message: bytes) -> bool:
        """Send a message; False when it, or a part of it, has to wait."""
        size = len(message) + PREFIX_BYTES
        if stream.unsent is None and size <= stream.window and size <= self.window and size <= self.max_frame and not self.is_held:
            stream.window -= size
            self.window -= size
            if stream.begun:
                self.out += (_MESSAGE.pack(size << 8, 0, stream.id, 0, size - PREFIX_BYTES), message)
                return True
            if self._signalled:
                stream.begun = True
                head = _FIRST_MESSAGE.pack(_RESPONSE_HEAD, frames.END_HEADERS, stream.id, RESPONSE, size << 8, 0, stream.id, 0, size - PREFIX_BYTES)
                self.out += (head, message)
                return True
            self.begin(stream)
            self.out += (_MESSAGE.pack(size << 8, 0, stream.id, 0, size - PREFIX_BYTES), message)
            return True
        if not stream.begun:
            self.begin(stream)
        return self.data(stream, PREFIX.pack(0, len(message)), message)

    def data(self, stream: Stream, *pieces: bytes) -> bool:
        """Send bytes as they are, after the head of the answer; False when a part of them has to wait."""
        if stream.unsent is None:
            stream.unsent = deque()
        size = 0
        for piece in filter(None, pieces):
            stream.unsent.append(memoryview(piece))
            size += len(piece)
        stream.unsent_bytes += size
        self.unsent_bytes += size
        while stream.unsent is not None and stream.window > 0 and self.window > 0 and not self.is_held:
            self._send_part(stream)
        if stream.unsent is not None and stream.window > 0:
            self._ready[stream.id] = stream
        return stream.unsent is None

    def begin(self, stream: Stream) -> None:
        """Send the header block that begins an answer."""
        stream.begun = True
        self.block(stream.id, RESPONSE, 0)

    def block(self, stream_id: int, block: bytes, flags: int) -> None:
        """Send a header block. Ours fit into the smallest frame that there is, since reasons are cut (`status.py`)."""
        if not self._signalled:
            self._signalled = True
            block = NO_DYNAMIC_TABLE + block
        self.out.append(frames.frame(frames.HEADERS, flags | frames.END_HEADERS, stream_id, block))

    def end(self, stream: Stream, block: bytes) -> None:
        """Send the header block that ends an answer; an empty one ends it without trailers."""
        if not block:
            self.out.append(frames.frame(frames.DATA, frames.END_STREAM, stream.id))
        elif block is TRAILERS_OK and self._signalled:
            self.out.append(_END.pack(_END_HEAD, _END_FLAGS, stream.id, block))
        else:
            self.block(stream.id, block, frames.END_STREAM)

    def forget(self, stream: Stream) -> None:
        """Drop what waits: the stream is over, or all was sent."""
        self._ready.pop(stream.id, None)
        stream.unsent = None
        self.unsent_bytes -= stream.unsent_bytes
        stream.unsent_bytes = 0

    def widen(self, stream: Stream, increment: int) -> None:
        """Take more (or less) room on one stream; raise StreamFault when that is more than there can be."""
        stream.window += increment
        if stream.window > frames.MAX_WINDOW:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "window above 2^31-1")
        if stream.unsent is not None and stream.window > 0:
            self._ready[stream.id] = stream

    def widen_connection(self, increment: int) -> None:
        """Take more room on the connection; raise ConnectionFault when that is more than there can be."""
        self.window += increment
        if self.window > frames.MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "window above 2^31-1")

    def pump(self) -> list[Stream]:
        """Send what windows allow, each stream a part in turn; return the streams of which nothing waits any longer."""
        drained: list[Stream] = []
        while self._ready and self.window > 0 and not self.is_held:
            stream_id, stream = next(iter(self._ready.items()))
            del self._ready[stream_id]
            if stream.window > 0:
                self._send_part(stream)
            if stream.unsent is None:
                drained.append(stream)
            elif stream.window > 0:
                self._ready[stream_id] = stream
        return drained

    def _send_part(self, stream: Stream) -> None:
        """Send frames of one stream until its turn is over."""
        unsent = stream.unsent
        assert unsent is not None
        room = min(stream.window, self.window, _QUANTUM)
        while room > 0 and unsent:
            size = 0
            pieces: list[memoryview] = []
            most = min(room, self.max_frame)
            while unsent and size < most:
                piece = unsent[0]
                if len(piece) <= most - size:
                    unsent.popleft()
                else:
                    unsent[0] = piece[most - size :]
                    piece = piece[: most - size]
                pieces.append(piece)
                size += len(piece)
            self.out.append(frames.HEADER.pack(size << 8 | frames.DATA, 0, stream.id))
            self.out += pieces
            room -= size
            stream.window -= size
            self.window -= size
            stream.unsent_bytes -= size
            self.unsent_bytes -= size
        if not unsent:
            self.forget(stream)
