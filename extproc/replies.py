"""The messages that the stream machine answers Envoy with; what never varies is encoded once.

An override of the mode repeats all fields: an unset header mode would mean "default", an unset body mode NONE.
Header values travel in `raw_value`: ext_proc ignores `value` (ext_authz is the reverse).
"""

from functools import lru_cache

from ias import headers
from ias.error_shapes import Shape
from ias.errors import ApiError
from protos.base_pb2 import HeaderValue, HeaderValueOption, HttpStatus
from protos.ext_proc_pb2 import (
    BodyMutation,
    BodyResponse,
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    ImmediateResponse,
    ProcessingMode,
    ProcessingResponse,
    StreamedBodyResponse,
    TrailersResponse,
)

NONE = ProcessingMode.NONE
STREAMED = ProcessingMode.STREAMED
BUFFERED = ProcessingMode.BUFFERED
FULL_DUPLEX = ProcessingMode.FULL_DUPLEX_STREAMED

_CLEAR_BODY = BodyMutation(clear_body=True).SerializeToString()
_END_OF_STREAM = StreamedBodyResponse(end_of_stream=True).SerializeToString()
_SIZES = [bytes([size]) for size in range(0x80)]
_OVERWRITE = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD

CONTINUE: dict[str, bytes] = {
    "request_headers": ProcessingResponse(request_headers=HeadersResponse()).SerializeToString(),
    "response_headers": ProcessingResponse(response_headers=HeadersResponse()).SerializeToString(),
    "request_body": ProcessingResponse(request_body=BodyResponse()).SerializeToString(),
    "response_body": ProcessingResponse(response_body=BodyResponse()).SerializeToString(),
    "request_trailers": ProcessingResponse(request_trailers=TrailersResponse()).SerializeToString(),
    "response_trailers": ProcessingResponse(response_trailers=TrailersResponse()).SerializeToString(),
}
"""The answer "go on, nothing to change" to each kind of message."""


def _mode(request_body: ProcessingMode.BodySendMode, response_body: ProcessingMode.BodySendMode) -> ProcessingMode:
    return ProcessingMode(
        request_header_mode=ProcessingMode.SEND,
        response_header_mode=ProcessingMode.SEND,
        request_body_mode=request_body,
        response_body_mode=response_body,
        request_trailer_mode=ProcessingMode.SKIP,
        # Where every byte passes through us, trailers may be the end of the answer.
        response_trailer_mode=ProcessingMode.SEND if response_body == FULL_DUPLEX else ProcessingMode.SKIP,
    )


def _request_headers(request_body: ProcessingMode.BodySendMode, response_body: ProcessingMode.BodySendMode = NONE) -> bytes:
    # The model's name stays until a route takes it away: where there is none, Envoy tells by it which model was not found.
    # A compressed answer can be counted, but nothing taken out of it: ask the engine for identity.
    identity = HeaderValueOption(header=HeaderValue(key="accept-encoding", raw_value=b"identity"), append_action=_OVERWRITE)
    mutation = HeaderMutation(remove_headers=[headers.CONTEXT], set_headers=[identity])
    return ProcessingResponse(
        request_headers=HeadersResponse(response=CommonResponse(header_mutation=mutation)), mode_override=_mode(request_body, response_body)
    ).SerializeToString()


FOLLOW = _request_headers(NONE)
"""To the headers of a valid request: clean its headers, show us those of the answer."""

FOLLOW_AND_CHANGE = _request_headers(BUFFERED)
"""The same, and the body must come to us first."""

FOLLOW_THROUGH_US = _request_headers(NONE, FULL_DUPLEX)
"""Give us headers and body of the answer together, without a question in between: the client gets what we send back."""

CHANGE_THROUGH_US = _request_headers(BUFFERED, FULL_DUPLEX)
"""The same, and the request's body must come to us first."""


def changed_request(body: bytes) -> bytes:
    """Replace the request's body. Its length goes with it, else Envoy answers 500."""
    length = HeaderValueOption(header=HeaderValue(key="content-length", raw_value=b"%d" % len(body)), append_action=_OVERWRITE)
    return ProcessingResponse(
        request_body=BodyResponse(
            response=CommonResponse(header_mutation=HeaderMutation(set_headers=[length]), body_mutation=BodyMutation(body=body))
        )
    ).SerializeToString()


def _response_headers(body: ProcessingMode.BodySendMode, drop_length: bool = False) -> bytes:
    common = CommonResponse(header_mutation=HeaderMutation(remove_headers=["content-length"])) if drop_length else None
    return ProcessingResponse(response_headers=HeadersResponse(response=common), mode_override=_mode(NONE, body)).SerializeToString()


READ_STREAMED = _response_headers(STREAMED)
"""To the headers of an answer: show us its body as it passes. Decided this late, a content-length stays (Envoy 1.40)."""

READ_BUFFERED = _response_headers(BUFFERED)
"""Show us the body when it is complete, in one message."""

CHANGE_STREAMED = _response_headers(STREAMED, drop_length=True)
"""Show us the body as it passes; we shall take a chunk out of it, so its length is not known."""


PASS_THROUGH_US = _response_headers(FULL_DUPLEX, drop_length=True)
"""Give us the body: the client gets what we send, and nothing else. Only so can an answer be ended early and cleanly."""


@lru_cache(1024)
def kept_length(length: str) -> bytes:
    """To the headers of an answer that passes through us as it is: its content-length, which Envoy drops, goes beside it."""
    kept = HeaderValueOption(header=HeaderValue(key=headers.LENGTH, raw_value=length.encode()), append_action=_OVERWRITE)
    return ProcessingResponse(
        response_headers=HeadersResponse(response=CommonResponse(header_mutation=HeaderMutation(set_headers=[kept])))
    ).SerializeToString()


def changed_response(body: bytes) -> bytes:
    """Replace one chunk of the answer; with nothing when `body` is empty."""
    return _body_response(_field(b"\x0a", body) if body else _CLEAR_BODY)


def passed_on(body: bytes, *, end: bool = False) -> bytes:
    """Send a part of an answer that passes through us; `end` ends the answer for the client, and for the engine."""
    streamed = (_field(b"\x0a", body) if body else b"") + (_END_OF_STREAM if end else b"")
    return _body_response(_field(b"\x1a", streamed))


def _body_response(mutation: bytes) -> bytes:
    """`ProcessingResponse.response_body.response.body_mutation`, by hand: five messages for each chunk are what a chunk costs most."""
    return _field(b"\x22", _field(b"\x0a", _field(b"\x1a", mutation)))


def _field(tag: bytes, content: bytes) -> bytes:
    """A length-delimited field of protobuf."""
    length = len(content)
    if length < 0x80:
        return tag + _SIZES[length] + content
    size = bytearray()
    while length >= 0x80:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return tag + size + content


def refusal(error: ApiError, shape: Shape = Shape.OPENAI) -> bytes:
    """Answer the client in the engine's place; nothing reaches the engine."""
    named = (("content-type", "application/json"), *error.headers)
    return ProcessingResponse(
        immediate_response=ImmediateResponse(
            status=HttpStatus(code=error.status),
            headers=HeaderMutation(
                set_headers=[
                    HeaderValueOption(header=HeaderValue(key=name, raw_value=value.encode()), append_action=_OVERWRITE) for name, value in named
                ]
            ),
            body=error.shaped(shape),
            details=f"ias_{error.code}",
        )
    ).SerializeToString()
