"""gRPC statuses as trailers: constant where they are constant."""

from functools import lru_cache

from ias.transport import Status
from ias.wire.header_blocks import literal

_OK_200 = b"\x88"  # :status 200, entry 8 of the static table (RFC 7541 appendix A)
RESPONSE = _OK_200 + literal("content-type", b"application/grpc")
"""The block that begins an answer."""
TRAILERS_OK = literal("grpc-status", b"0")
_ACCEPTED = literal("grpc-accept-encoding", b"identity")
_MAX_REASON_BYTES = 1_024


def trailers(status: Status, reason: str) -> bytes:
    """The block that ends an answer."""
    if status is Status.OK and not reason:
        return TRAILERS_OK
    block = literal("grpc-status", b"%d" % status)
    if reason:
        block += literal("grpc-message", percent_encoded(reason))
    return block + _ACCEPTED if status is Status.UNIMPLEMENTED else block


def trailers_only(status: Status, reason: str) -> bytes:
    """The block of an answer without a message."""
    return RESPONSE + trailers(status, reason)


def http_head(status: int) -> bytes:
    """The block that begins the answer to a request that is no call."""
    return literal(":status", b"%d" % status) + literal("content-type", b"text/plain")


@lru_cache(maxsize=64)
def percent_encoded(reason: str) -> bytes:
    """A message of `grpc-message`: UTF-8, everything but printable ASCII and the percent sign itself escaped."""
    # A cut inside an escape or a character would not decode: cut the text before it is escaped.
    text = reason.encode("utf-8", "replace")[:_MAX_REASON_BYTES].decode("utf-8", "ignore").encode()
    return b"".join(bytes((c,)) if 0x20 <= c <= 0x7E and c != 0x25 else b"%%%02X" % c for c in text)
