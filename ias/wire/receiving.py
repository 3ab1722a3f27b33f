"""Requests as they come in: header blocks open streams, data brings messages (RFC 9113 §6.1, §6.2, §6.10).

`take_call` and `take_message` are the shapes that nearly all traffic has, without the steps that such frames do not need; they
take a frame only if the general way would do the same with it.
"""

from collections.abc import Mapping
from struct import Struct

from ias.transport import Status
from ias.wire import frames
from ias.wire.control import PRIORITY_BYTES, Control, check, dependency
from ias.wire.errors import ConnectionFault, ErrorCode, StreamFault, protocol_error
from ias.wire.events import CallReceived, MessageReceived, StreamEnded, StreamOpened
from ias.wire.exchange import Exchange
from ias.wire.header_blocks import HeaderBlocks
from ias.wire.messages import PREFIX, PREFIX_BYTES, MessageError, MessageReader
from ias.wire.requests import Refusal, check_trailers
from ias.wire.streams import Shape, Stream
from ias.wire.windows import Windows

_HEADER_AND_PREFIX = Struct(">IBIBI")
"""The header of a DATA frame and the prefix of the message that begins it."""
_UNKNOWN_METHOD = Refusal(Status.UNIMPLEMENTED, "unknown method")
_ONE_MESSAGE = (Status.UNIMPLEMENTED, "a unary call has exactly one message")
_CUT_OFF = (Status.INTERNAL, "the stream ended in the middle of a message")
_TOO_MUCH = (Status.RESOURCE_EXHAUSTED, "too much is waiting on this connection")


class Receiver:
    """Takes frames one by one. `now` is the time of the bytes that are being read."""

    def __init__(self, exchange: Exchange, methods: Mapping[str, Shape]) -> None:
        self._exchange = exchange
        self._streams = exchange.streams
        self._live = exchange.streams.live
        self._sender = exchange.sender
        self._limits = exchange.limits
        self._methods = methods
        self._largest_at_once = min(
            self._limits.max_message_bytes, self._limits.max_frame_bytes - PREFIX_BYTES, self._limits.stream_window_bytes // 2
        )
        """Message that a common shape may have: it fits into one frame and the limits, and leaves room in the window."""
        self._blocks = HeaderBlocks(exchange.limits.max_header_bytes)
        self.windows = Windows(exchange)
        self.control = Control(exchange, self.windows, self._blocks.table_is_gone)
        self.highest_id = frames.STREAM_MASK
        """No stream above it is opened any more."""
        self.is_new = True
        """The peer's first SETTINGS have not come."""
        self.is_special = True
        """Only one kind of frame may come next: the first SETTINGS, or the rest of a header block."""
        self._block = bytearray()
        self._block_of: tuple[int, int] | None = None
        """Stream and flags of the HEADERS whose block is incomplete."""
        self._continuations = 0

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Take any whole frame. Raises ConnectionFault or StreamFault."""
        if self.is_special:
            self._check_special(kind, flags, stream_id)
        if kind == frames.DATA:
            self._data(flags, stream_id, payload)
        elif kind == frames.HEADERS:
            self._headers(flags, stream_id, payload)
        elif kind == frames.CONTINUATION:
            self._continuation(flags, stream_id, payload)
        else:
            self.control.take(kind, flags, stream_id, payload)

    # --- the common shapes ---

    def take_call(self, data: bytes, start: int, length: int, stream_id: int) -> int:
        """Take HEADERS and the DATA behind them when they are one whole unary call; return where that ends, or 0.

        `data[start:start + length]` is the header block, complete and unpadded.
        """
        second = start + length
        if self.is_special or not self._blocks.are_self_contained or len(data) - second < _HEADER_AND_PREFIX.size:
            return 0
        length_and_kind, flags, same_id, compressed, size = _HEADER_AND_PREFIX.unpack_from(data, second)
        end: int = second + _HEADER_AND_PREFIX.size + size
        if (
            flags != frames.END_STREAM
            or same_id != stream_id
            or compressed
            or length_and_kind != (size + PREFIX_BYTES) << 8 | frames.DATA
            or end > len(data)
            or size > self._largest_at_once
            or not self._streams.last_id < stream_id <= self.highest_id
            or not stream_id & 1
            or len(self._live) >= self._limits.max_streams
            or self._exchange.held + self._sender.unsent_bytes + size > self._limits.max_held_bytes
        ):
            return 0
        try:
            request = self._blocks.request(data[start:second])
        except StreamFault:
            return 0
        if self._methods.get(request.path) is not Shape.UNARY or request.refusal is not None or request.content_length is not None:
            return 0
        self.windows.count(size + PREFIX_BYTES)
        self._streams.last_id = stream_id
        deadline = None if request.timeout is None else self.control.now + request.timeout
        self._live[stream_id] = stream = Stream(stream_id, Shape.UNARY, request, deadline, self._sender.initial_window)
        stream.remote_ended = True
        stream.message = message = data[end - size : end]
        stream.held = size
        self._exchange.held += size
        self._exchange.announce(stream, CallReceived(stream_id, request.path, message, deadline, request.fields))
        return end

    def take_message(self, data: bytes, start: int, length: int, flags: int, stream_id: int) -> bool:
        """Take DATA of at least a prefix when it is one whole message of a bidirectional stream, unpadded."""
        compressed, size = PREFIX.unpack_from(data, start)
        stream = self._live.get(stream_id)
        if (
            stream is None
            or flags > frames.END_STREAM
            or compressed
            or size != length - PREFIX_BYTES
            or size > self._largest_at_once
            or stream.shape is not Shape.STREAM
            or stream.reader is not None
            or stream.remote_ended
            or stream.request.content_length is not None
            or self.is_special
        ):
            return False
        self.windows.count(length)
        self.windows.count_on(stream, length)
        events = self._exchange.events
        events.append(MessageReceived(stream_id, data[start + PREFIX_BYTES : start + length]))
        if flags:
            stream.remote_ended = True
            events.append(StreamEnded(stream_id))
        return True

    # --- HEADERS and CONTINUATION ---

    def _check_special(self, kind: int, flags: int, stream_id: int) -> None:
        if self._block_of is None:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise protocol_error("the first frame must be SETTINGS")
            self.is_special = self.is_new = False
        elif kind != frames.CONTINUATION or stream_id != self._block_of[0]:
            raise protocol_error("a frame in the middle of a header block")

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id & 1:
            raise protocol_error("HEADERS on a stream that a client cannot open")
        payload = frames.without_padding(payload, flags)
        if flags & frames.WITH_PRIORITY:
            if len(payload) < PRIORITY_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for their priority")
            if dependency(payload) == stream_id:
                raise protocol_error("a stream that depends on itself")
            payload = payload[PRIORITY_BYTES:]
        if flags & frames.END_HEADERS:
            self._header_block(stream_id, flags, payload)
            return
        self._block[:] = payload
        self._block_of = (stream_id, flags)
        self._continuations = 0
        self.is_special = True

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block_of is None:
            raise protocol_error("CONTINUATION without HEADERS")
        self._continuations += 1
        self._block += payload
        check(self._continuations > self._limits.max_continuations, "too many CONTINUATION frames")
        check(len(self._block) > self._blocks.max_block_bytes, "a header block far above its limit")
        if flags & frames.END_HEADERS:
            block, (_, first_flags) = bytes(self._block), self._block_of
            self._block.clear()
            self._block_of = None
            self.is_special = False
            self._header_block(stream_id, first_flags, block)

    def _header_block(self, stream_id: int, flags: int, block: bytes) -> None:
        stream = self._live.get(stream_id)
        try:
            is_taken = self._streams.takes(frames.HEADERS, stream_id)
        except StreamFault:
            self._blocks.fields(block)  # whatever it is for: later blocks may refer to it
            raise
        if stream is not None:
            self._trailers(stream, flags, block)
        elif is_taken:
            self._open(stream_id, flags, block)
        else:
            self._blocks.fields(block)

    def _trailers(self, stream: Stream, flags: int, block: bytes) -> None:
        check_trailers(self._blocks.fields(block))
        if not flags & frames.END_STREAM:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers without an end of the stream")
        self._end_of(stream)

    def _open(self, stream_id: int, flags: int, block: bytes) -> None:
        self._streams.last_id = stream_id
        request = self._blocks.request(block)
        if stream_id > self.highest_id or len(self._live) >= self._limits.max_streams:
            raise StreamFault(ErrorCode.REFUSED_STREAM, "no more streams")
        shape = self._methods.get(request.path, Shape.NOTHING) if request.refusal is None else Shape.NOTHING
        deadline = None if request.timeout is None else self.control.now + request.timeout
        self._live[stream_id] = stream = Stream(stream_id, shape, request, deadline, self._sender.initial_window)
        if shape is Shape.STREAM:
            self._exchange.announce(stream, StreamOpened(stream_id, request.path, deadline, request.fields))
        if flags & frames.END_STREAM:
            self._end_of(stream)
        elif shape is Shape.NOTHING and (request.refusal is None or request.refusal.http == 200):
            # A gRPC client hears at once. A request of another kind is read to its end: HTTP clients write before they read.
            self._refuse(stream)

    def _refuse(self, stream: Stream) -> None:
        if stream.final_block is None:  # else it was refused before, and the answer waits for its reader
            self._exchange.refuse(stream, stream.request.refusal or _UNKNOWN_METHOD)

    # --- DATA ---

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self.windows.count(size)  # what is ignored has filled the window too
        if not size and not flags & frames.END_STREAM:
            self.control.count_empty()
        payload = frames.without_padding(payload, flags)
        if not stream_id:
            raise protocol_error("DATA on stream 0")
        if not self._streams.takes(frames.DATA, stream_id):
            return
        stream = self._live[stream_id]
        self.windows.count_on(stream, size)
        if stream.request.content_length is not None:
            stream.received += len(payload)
            if stream.received > stream.request.content_length:
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, "more data than content-length")
        if payload and stream.shape is not Shape.NOTHING:
            try:
                self._messages(stream, payload)
            except MessageError as error:
                self._exchange.fail(stream, error.status, error.reason)
                return
        if flags & frames.END_STREAM:
            self._end_of(stream)
        elif stream.shape is Shape.NOTHING and stream.debt * 2 >= self.windows.stream_window:
            self._refuse(stream)

    def _messages(self, stream: Stream, payload: bytes) -> None:
        reader = stream.reader
        if reader is None:
            reader = stream.reader = MessageReader(self._limits.max_message_bytes)
        held = reader.held_bytes
        for message in reader.feed(payload):
            if stream.shape is Shape.STREAM:
                self._exchange.events.append(MessageReceived(stream.id, message))
            elif stream.message is None:
                stream.message = message
                self._exchange.hold(stream, len(message))
            else:
                raise MessageError(*_ONE_MESSAGE)
        self._exchange.hold(stream, reader.held_bytes - held)
        if not reader.held_bytes:
            stream.reader = None
        if self._exchange.is_overfull():
            raise MessageError(*_TOO_MUCH)

    def _end_of(self, stream: Stream) -> None:
        """The peer has ended its side."""
        stream.remote_ended = True
        if stream.request.content_length is not None and stream.received != stream.request.content_length:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "less data than content-length")
        if stream.shape is Shape.NOTHING:
            self._refuse(stream)
        elif stream.reader is not None:
            self._exchange.fail(stream, *_CUT_OFF)
        elif stream.shape is Shape.STREAM:
            self._exchange.events.append(StreamEnded(stream.id))
        elif stream.message is None:
            self._exchange.fail(stream, *_ONE_MESSAGE)
        else:
            request = stream.request
            self._exchange.announce(stream, CallReceived(stream.id, request.path, stream.message, stream.deadline, request.fields))
