"""What a header block asks for: the rules of RFC 9113 §8 for requests, and of gRPC over HTTP/2 for calls.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import re

from ias.transport import Status
from ias.wire.errors import ErrorCode, StreamFault
from ias.wire.events import Fields

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[^\x00\r\n\t ](?:[^\x00\r\n]*[^\x00\r\n\t ])?)?")
_GRPC = re.compile(rb"application/grpc(?:[+;].*)?", re.DOTALL)
_TIMEOUT = re.compile(rb"([0-9]{1,12})([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_CONNECTION_SPECIFIC = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_WITH_MEANING = _CONNECTION_SPECIFIC | {b"te", b"content-type", b"content-length", b"grpc-timeout", b"grpc-encoding"}
_FIELD_OVERHEAD = 32


class Refusal:
    """Why a request is not carried out. `http` is not 200 where the request is no gRPC call."""

    __slots__ = ("http", "reason", "status")

    def __init__(self, status: Status, reason: str, http: int = 200) -> None:
        self.status = status
        self.reason = reason
        self.http = http


_NOT_GRPC = Refusal(Status.UNIMPLEMENTED, "not a gRPC request", 415)
_NOT_POST = Refusal(Status.UNIMPLEMENTED, "not a POST request", 405)
_TOO_LARGE = Refusal(Status.RESOURCE_EXHAUSTED, "the header list is too large")
_ENCODED = Refusal(Status.UNIMPLEMENTED, "messages must not be compressed")
_BAD_TIMEOUT = Refusal(Status.INTERNAL, "malformed grpc-timeout")


class Request:
    """A request that is well-formed by RFC 9113, whether it is a gRPC call or to be refused."""

    __slots__ = ("content_length", "fields", "path", "refusal", "size", "timeout")

    def __init__(self, path: str, fields: Fields, size: int, timeout: float | None, content_length: int | None, refusal: Refusal | None) -> None:
        self.path = path
        self.fields = fields
        self.size = size
        """Of the header list, as RFC 9113 §6.5.2 counts it."""
        self.timeout = timeout
        """Seconds."""
        self.content_length = content_length
        self.refusal = refusal

    def with_value(self, place: int, value: bytes, max_header_bytes: int) -> "Request":
        """The same call with another value of a field that has no meaning here."""
        name, old = self.fields[place]
        fields = (*self.fields[:place], (name, value), *self.fields[place + 1 :])
        size = self.size - len(old) + len(value)
        return Request(self.path, fields, size, self.timeout, self.content_length, None if size <= max_header_bytes else _TOO_LARGE)


def is_plain(name: bytes) -> bool:
    """Whether fields of this name are metadata and nothing else."""
    return name not in _WITH_MEANING and _NAME.fullmatch(name) is not None


def valid_value(value: bytes) -> bool:
    """Whether a field may have this value (RFC 9113 §8.2.1)."""
    return _VALUE.fullmatch(value) is not None


def read_request(fields: Fields, max_header_bytes: int) -> Request:
    """Check a request's fields; raise StreamFault when they are malformed."""
    pseudo: dict[bytes, bytes] = {}
    meaning: dict[bytes, bytes] = {}
    size = 0
    regular = False
    for name, value in fields:
        size += len(name) + len(value) + _FIELD_OVERHEAD
        if name.startswith(b":"):
            if regular or name in pseudo or name not in _PSEUDO:
                raise _malformed("pseudo field that is unknown, twice, or behind others")
            if not valid_value(value):
                raise _malformed("field value with forbidden characters")
            pseudo[name] = value
        else:
            regular = True
            _check_field(name, value)
            if name in _WITH_MEANING:
                if name in meaning and meaning[name] != value:
                    raise _malformed("a field twice that must be there once")
                meaning[name] = value
    _check_pseudo(pseudo)
    length = meaning.get(b"content-length")
    if length is not None and not (length.isdigit() and len(length) < 16):
        raise _malformed("content-length that is no number")
    timeout, refusal = _read_call(pseudo, meaning)
    if size > max_header_bytes and (refusal is None or refusal.http == 200):
        refusal = _TOO_LARGE
    path = pseudo.get(b":path", b"").decode("latin-1")
    return Request(path, fields, size, timeout, None if length is None else int(length), refusal)


def check_trailers(fields: Fields) -> None:
    """Raise StreamFault when these are no trailers."""
    for name, value in fields:
        if name.startswith(b":"):
            raise _malformed("pseudo field in trailers")
        _check_field(name, value)


def _check_field(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name):
        raise _malformed("field name with forbidden characters")
    if not valid_value(value):
        raise _malformed("field value with forbidden characters")
    if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
        raise _malformed("field that belongs to HTTP/1.1 connections")


def _check_pseudo(pseudo: dict[bytes, bytes]) -> None:
    method = pseudo.get(b":method")
    if method == b"CONNECT" and b":scheme" not in pseudo and b":path" not in pseudo:
        return  # well-formed (RFC 9113 §8.5), though no call
    if not method or not pseudo.get(b":scheme") or not pseudo.get(b":path"):
        raise _malformed("request without method, scheme or path")


def _read_call(pseudo: dict[bytes, bytes], meaning: dict[bytes, bytes]) -> tuple[float | None, Refusal | None]:
    if not _GRPC.fullmatch(meaning.get(b"content-type", b"")):
        return None, _NOT_GRPC
    if pseudo[b":method"] != b"POST":
        return None, _NOT_POST
    if meaning.get(b"grpc-encoding", b"identity") != b"identity":
        return None, _ENCODED
    written = meaning.get(b"grpc-timeout")
    if written is None:
        return None, None
    parts = _TIMEOUT.fullmatch(written)
    if parts is None:
        return None, _BAD_TIMEOUT
    return int(parts[1]) * _SECONDS[parts[2]], None


def _malformed(reason: str) -> StreamFault:
    return StreamFault(ErrorCode.PROTOCOL_ERROR, reason)
