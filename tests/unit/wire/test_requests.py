"""What makes a request well-formed (RFC 9113 §8.2, §8.3), and a call of gRPC."""

import pytest

from ias.transport import Status
from ias.wire.errors import ErrorCode, StreamFault
from ias.wire.events import Fields
from ias.wire.requests import check_trailers, read_request

PSEUDO = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/B"))
CALL = (*PSEUDO, (b"te", b"trailers"), (b"content-type", b"application/grpc"))
KIB16 = 16 * 1024


def test_a_call() -> None:
    request = read_request((*CALL, (b"grpc-timeout", b"2000m"), (b"traceparent", b"00-ab")), KIB16)
    assert (request.path, request.timeout, request.refusal, request.content_length) == ("/a/B", 2.0, None, None)
    assert request.fields[-1] == (b"traceparent", b"00-ab")


@pytest.mark.parametrize(
    "fields",
    [
        CALL[1:],
        (CALL[0], *CALL[2:]),
        CALL[:2] + CALL[3:],
        (*CALL[:2], (b":path", b""), *CALL[3:]),
        (*CALL[:3], (b":path", b"/c"), *CALL[3:]),
        (*CALL[:3], (b":status", b"200"), *CALL[3:]),
        (*CALL[:3], (b":Authority", b"a"), *CALL[3:]),
        (*CALL, (b":authority", b"a")),
        (*CALL, (b"Upper", b"a")),
        (*CALL, (b"", b"a")),
        (*CALL, (b"a b", b"a")),
        (*CALL, (b"a:", b"a")),
        (*CALL, (b"\xc3\xa4", b"a")),
        (*CALL, (b"a", b"line\nbreak")),
        (*CALL, (b"a", b"line\rbreak")),
        (*CALL, (b"a", b"nul\0")),
        (*CALL, (b"a", b" space before")),
        (*CALL, (b"a", b"tab after\t")),
        (*CALL, (b"a", b" ")),
        (*PSEUDO[:2], (b":path", b"/a\0"), *CALL[3:]),
        (*CALL, (b"connection", b"close")),
        (*CALL, (b"proxy-connection", b"close")),
        (*CALL, (b"keep-alive", b"1")),
        (*CALL, (b"transfer-encoding", b"chunked")),
        (*CALL, (b"upgrade", b"h2c")),
        (*PSEUDO, (b"te", b"gzip"), CALL[-1]),
        (*CALL, (b"content-length", b"-1")),
        (*CALL, (b"content-length", b"1, 1")),
        (*CALL, (b"content-length", b"1"), (b"content-length", b"2")),
        (*CALL, (b"content-type", b"text/html")),
        ((b":method", b"CONNECT"), (b":path", b"/")),
    ],
)
def test_malformed_requests_are_stream_errors(fields: Fields) -> None:
    with pytest.raises(StreamFault) as caught:
        read_request(fields, KIB16)
    assert caught.value.code is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "more",
    [
        [(b"a", b"")],
        [(b"a", b"with spaces and \t tabs within")],
        [(b"a", b"\x80\xff")],
        [(b"a", b"1"), (b"a", b"2")],
        [(b"x!#$%&'*+-.^_`|~09az", b"1")],
        [(b"content-length", b"5"), (b"content-length", b"5")],
    ],
)
def test_unusual_requests_that_are_well_formed(more: list[tuple[bytes, bytes]]) -> None:
    assert read_request((*CALL, *more), KIB16).refusal is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"4m", 0.004), (b"5u", 5e-6), (b"6n", 6e-9), (b"0S", 0), (b"99999999H", 99_999_999 * 3600)],
)
def test_timeouts(written: bytes, seconds: float) -> None:
    assert read_request((*CALL, (b"grpc-timeout", written)), KIB16).timeout == pytest.approx(seconds)


@pytest.mark.parametrize("written", [b"", b"1", b"S", b"-1S", b"1.5S", b"1s", b"1 S", b"1234567890123S"])
def test_malformed_timeouts(written: bytes) -> None:
    refusal = read_request((*CALL, (b"grpc-timeout", written)), KIB16).refusal
    assert refusal is not None
    assert refusal.status is Status.INTERNAL


@pytest.mark.parametrize(
    ("kind", "http"),
    [
        (b"application/grpc", None),
        (b"application/grpc+proto", None),
        (b"application/grpc;charset=utf-8", None),
        (b"application/grpc-web", 415),
        (b"application/json", 415),
        (b"Xapplication/grpc", 415),
    ],
)
def test_content_types(kind: bytes, http: int | None) -> None:
    refusal = read_request((*PSEUDO, (b"content-type", kind)), KIB16).refusal
    assert (refusal.http if refusal else None) == http


def test_the_size_of_the_list_counts_32_bytes_for_each_field() -> None:
    size = sum(len(name) + len(value) + 32 for name, value in CALL)
    assert read_request(CALL, size).refusal is None
    refusal = read_request(CALL, size - 1).refusal
    assert refusal is not None
    assert (refusal.http, refusal.status) == (200, Status.RESOURCE_EXHAUSTED)


def test_trailers() -> None:
    check_trailers(((b"grpc-status", b"0"),))
    for wrong in ((b":path", b"/"), (b"Upper", b""), (b"connection", b"close")):
        with pytest.raises(StreamFault):
            check_trailers((wrong,))
