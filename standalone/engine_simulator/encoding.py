"""Content codings of a body that streams: after each piece the client can decode all that came so far."""

import zlib
from typing import Protocol

from standalone.engine_simulator.behaviour import Coding


class Encoder(Protocol):
    """One body."""

    def encode(self, data: bytes) -> bytes:
        """Return `data` so that all of it can be decoded at once."""

    def finish(self) -> bytes:
        """Return the end of the coded body."""


class _Identity:
    def encode(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._coder = zlib.compressobj(wbits=window_bits)

    def encode(self, data: bytes) -> bytes:
        return self._coder.compress(data) + self._coder.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._coder.flush()


class _Brotli:
    def __init__(self) -> None:
        import brotli  # noqa: PLC0415  # only tests ask for it

        self._coder = brotli.Compressor()

    def encode(self, data: bytes) -> bytes:
        return bytes(self._coder.process(data) + self._coder.flush())

    def finish(self) -> bytes:
        return bytes(self._coder.finish())


class _Zstd:
    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415  # only tests ask for it

        self._flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        self._coder = zstandard.ZstdCompressor().compressobj()

    def encode(self, data: bytes) -> bytes:
        return self._coder.compress(data) + self._coder.flush(self._flush)

    def finish(self) -> bytes:
        return self._coder.flush()


def encoder(coding: Coding) -> Encoder:
    """Make the encoder of one body. `deflate` is the zlib format (RFC 9110, 8.4.1.2)."""
    match coding:
        case "gzip":
            return _Zlib(31)
        case "deflate":
            return _Zlib(15)
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()
        case _:
            return _Identity()
