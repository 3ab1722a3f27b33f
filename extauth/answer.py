"""The answers to Envoy, as bytes. Envoy reads `HeaderValue.value` here, never `raw_value` (facts §3, behaviour f)."""

from collections.abc import Iterable
from functools import lru_cache

from extauth.grpc_inference import SERVICE
from ias import headers as names
from ias.error_shapes import Shape, shape_of
from ias.errors import ApiError, invalid_api_key
from protos.auth_pb2 import CheckResponse, DeniedHttpResponse, OkHttpResponse
from protos.base_pb2 import HeaderValue, HeaderValueOption, HttpStatus

Headers = Iterable[tuple[str, str]]
_OVERWRITE = HeaderValueOption.AppendAction.OVERWRITE_IF_EXISTS_OR_ADD


@lru_cache(4_096)
def _varint(number: int) -> bytes:
    """A length as protobuf writes it (https://protobuf.dev/programming-guides/encoding/#varints)."""
    low, rest = number & 127, number >> 7
    return bytes((low | 128,)) + _varint(rest) if rest else bytes((low,))


def _tag(number: int) -> bytes:
    return _varint(number << 3 | 2)


_OK = _tag(CheckResponse.OK_RESPONSE_FIELD_NUMBER)
_TO_UPSTREAM = _tag(OkHttpResponse.HEADERS_FIELD_NUMBER)
_TO_CLIENT = _tag(OkHttpResponse.RESPONSE_HEADERS_TO_ADD_FIELD_NUMBER)
_HEADER = _tag(HeaderValueOption.HEADER_FIELD_NUMBER)
_KEY, _VALUE = _tag(HeaderValue.KEY_FIELD_NUMBER), _tag(HeaderValue.VALUE_FIELD_NUMBER)
_APPEND_ACTION = HeaderValueOption(append_action=_OVERWRITE).SerializeToString()

# Serialized messages may be joined: a parser merges what comes twice (https://protobuf.dev/programming-guides/encoding/#optional).
_ALWAYS = CheckResponse(ok_response=OkHttpResponse(headers_to_remove=[*names.CREDENTIALS, names.TAGS])).SerializeToString()


def allow(context: str, model: str, response_headers: Headers, path: str | None = None) -> bytes:
    """Let the request pass: with our context and route header, without its credential; `path`: to the engine by this one."""
    ok = [_option(_TO_UPSTREAM, names.CONTEXT, context), _option(_TO_UPSTREAM, names.MODEL, model)]
    if path is not None:
        ok.append(_option(_TO_UPSTREAM, ":path", path))
    ok += [_option(_TO_CLIENT, name, value) for name, value in response_headers]
    return _ALWAYS + _field(_OK, b"".join(ok))


def respond(status: int, body: bytes, headers: Headers = ()) -> bytes:
    """Answer the client ourselves. The HTTP status is always given: Envoy's default is 403."""
    options = _options((("content-type", "application/json"), *headers))
    denied = DeniedHttpResponse(status=HttpStatus(code=status), headers=options, body=body.decode())
    response = CheckResponse(denied_response=denied)
    response.status.code = _PERMISSION_DENIED
    answer: bytes = response.SerializeToString()
    return answer


def refuse(error: ApiError, path: str, *, traditional: bool = False) -> bytes:
    """Answer with an error, in the shape that clients of the path expect; `traditional`: the model is, and this client may know it."""
    if path.startswith(SERVICE):
        return _refuse_call(error)
    shape = shape_of(path, traditional=traditional)
    return _INVALID_API_KEY[shape] if error.status == 401 else respond(error.status, error.shaped(shape), error.headers)


def _refuse_call(error: ApiError) -> bytes:
    """Answer a call of gRPC: Envoy makes `grpc-message` of the body, and takes its status from us where we know better."""
    headers = (("grpc-status", str(_GRPC_STATUS.get(error.status, _INTERNAL))), *error.headers)
    denied = DeniedHttpResponse(status=HttpStatus(code=error.status), headers=_options(headers), body=error.message)
    response = CheckResponse(denied_response=denied)
    response.status.code = _PERMISSION_DENIED
    answer: bytes = response.SerializeToString()
    return answer


def _option(tag: bytes, name: str, value: str) -> bytes:
    """A HeaderValueOption by hand: it is most of what an answer is made of, and takes a tenth of the time of the library's objects."""
    text = value.encode()
    return _before(tag, name, len(text)) + text + _APPEND_ACTION


@lru_cache(4_096)
def _before(tag: bytes, name: str, size: int) -> bytes:
    """All before a value of so many bytes. Names are ours, so there are few."""
    header = _field(_KEY, name.encode()) + _VALUE + _varint(size)
    option = _HEADER + _varint(len(header) + size) + header
    return tag + _varint(len(option) + size + len(_APPEND_ACTION)) + option


def _field(tag: bytes, content: bytes) -> bytes:
    """A length-delimited field (https://protobuf.dev/programming-guides/encoding/#length-types)."""
    return tag + _varint(len(content)) + content


def _options(headers: Headers) -> list[HeaderValueOption]:
    return [HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=_OVERWRITE) for name, value in headers]


_GRPC_STATUS = {400: 3, 401: 16, 403: 7, 404: 5, 413: 8, 415: 12, 429: 8, 503: 14}
_INTERNAL = 13
_PERMISSION_DENIED = 7
"""Any gRPC code but OK makes Envoy use `denied_response`; the client never sees it."""
_invalid_key = invalid_api_key()
_INVALID_API_KEY = {shape: respond(_invalid_key.status, _invalid_key.shaped(shape), _invalid_key.headers) for shape in Shape}
"""The answer that strangers ask for most often: made once. There is one 401 only (`ias.errors`)."""
