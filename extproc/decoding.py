"""Content codings of answers: gzip, deflate, br, zstd, decoded block by block for counting. The engine was asked for identity.

What a stranger can make of a few bytes is bounded: a block has at most `BLOCK_BYTES` or a few times that, and one answer decodes to at
most `limit` bytes in all. What goes beyond, or is not what its header says, is `Undecodable`: its bytes pass, and it is not read on.
"""

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard

BLOCK_BYTES = 64 * 1024
MAX_DECODED_BYTES = 256 << 20
_MAX_WINDOW_BYTES = 8 << 20
"""Of zstd; RFC 9659 lets a server of HTTP use no larger one."""

Sink = Callable[[bytes], None]


class Undecodable(Exception):
    """The coding is unknown, the bytes are not in it, or they decode to too much."""


class Decoder(Protocol):
    """Decodes one answer."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes and hand over what they decode to; raise Undecodable."""


def new_decoder(coding: str, sink: Sink, limit: int = MAX_DECODED_BYTES) -> Decoder:
    """Make the decoder of a `content-encoding`; raise Undecodable for one that is unknown, or for several."""
    if (make := _DECODERS.get(coding.strip().lower())) is None:
        raise Undecodable(f"content-encoding '{coding[:64]}'")
    return make(_Limited(sink, limit))


class _Limited:
    """Passes blocks on until there were too many."""

    def __init__(self, sink: Sink, limit: int) -> None:
        self._sink = sink
        self._left = limit

    def write(self, block: bytes) -> int:
        self._left -= len(block)
        if self._left < 0:
            raise Undecodable("the answer decodes to too much")
        self._sink(block)
        return len(block)


class _Zlib:
    """gzip, also of several members, and deflate, which is zlib's format by RFC 9110 and raw by the habit of some servers."""

    def __init__(self, out: _Limited, *, gzip: bool) -> None:
        self._out = out
        self._gzip = gzip
        self._begun = False
        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS if gzip else zlib.MAX_WBITS)

    def feed(self, data: bytes) -> None:
        if not self._begun and data:
            self._begun = True
            if not self._gzip and data[0] & 0x0F != zlib.DEFLATED:
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        while data:
            if self._zlib.eof:
                if not self._gzip:
                    return
                self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)
            try:
                block = self._zlib.decompress(data, BLOCK_BYTES)
            except zlib.error as error:
                raise Undecodable(str(error)) from None
            if block:
                self._out.write(block)
            data = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail


class _Brotli:
    def __init__(self, out: _Limited) -> None:
        self._out = out
        self._brotli = brotli.Decompressor()

    def feed(self, data: bytes) -> None:
        try:
            block = self._brotli.process(data, output_buffer_limit=BLOCK_BYTES)
            while block:
                self._out.write(block)
                block = b"" if self._brotli.is_finished() else self._brotli.process(b"", output_buffer_limit=BLOCK_BYTES)
        except brotli.error as error:
            raise Undecodable(str(error)) from None


class _Zstd:
    def __init__(self, out: _Limited) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        self._writer = decompressor.stream_writer(out, write_size=BLOCK_BYTES, closefd=False)  # type: ignore[arg-type]  # it only writes

    def feed(self, data: bytes) -> None:
        try:
            self._writer.write(data)
        except zstandard.ZstdError as error:
            raise Undecodable(str(error)) from None


_DECODERS: dict[str, Callable[[_Limited], Decoder]] = {
    "gzip": lambda out: _Zlib(out, gzip=True),
    "x-gzip": lambda out: _Zlib(out, gzip=True),
    "deflate": lambda out: _Zlib(out, gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}
