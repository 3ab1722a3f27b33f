"""The answers to Envoy, as bytes. Envoy reads `HeaderValue.value` here, never `raw_value` (facts §3, behaviour f)."""

from collections.abc import Iterable

from ias import headers as names
from ias.errors import MESSAGES_PATH, ApiError, invalid_api_key
from protos.auth_pb2 import CheckResponse, DeniedHttpResponse, OkHttpResponse
from protos.base_pb2 import HeaderValue, HeaderValueOption, HttpStatus

Headers = Iterable[tuple[str, str]]
_OVERWRITE = HeaderValueOption.AppendAction.OVERWRITE_IF_EXISTS_OR_ADD

# Serialized messages may be joined: a parser merges what comes twice (https://protobuf.dev/programming-guides/encoding/#optional).
_ALWAYS = CheckResponse(ok_response=OkHttpResponse(headers_to_remove=[*names.CREDENTIALS, names.TAGS])).SerializeToString()


def allow(context: str, model: str, response_headers: Headers) -> bytes:
    """Let the request pass: with our context and route header, without its credential."""
    ok = OkHttpResponse(
        headers=_options(((names.CONTEXT, context), (names.MODEL, model))),
        response_headers_to_add=_options(response_headers),
    )
    rest: bytes = CheckResponse(ok_response=ok).SerializeToString()
    return _ALWAYS + rest


def respond(status: int, body: bytes, headers: Headers = ()) -> bytes:
    """Answer the client ourselves. The HTTP status is always given: Envoy's default is 403."""
    options = _options((("content-type", "application/json"), *headers))
    denied = DeniedHttpResponse(status=HttpStatus(code=status), headers=options, body=body.decode())
    response = CheckResponse(denied_response=denied)
    response.status.code = _PERMISSION_DENIED
    answer: bytes = response.SerializeToString()
    return answer


def refuse(error: ApiError, path: str) -> bytes:
    """Answer with an error, in the shape that clients of the path expect."""
    if error.status == 401 and not path.startswith(MESSAGES_PATH):
        return _INVALID_API_KEY
    return respond(error.status, error.body(path), error.headers)


def _options(headers: Headers) -> list[HeaderValueOption]:
    return [HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=_OVERWRITE) for name, value in headers]


_PERMISSION_DENIED = 7
"""Any gRPC code but OK makes Envoy use `denied_response`; the client never sees it."""
_invalid_key = invalid_api_key()
_INVALID_API_KEY = respond(_invalid_key.status, _invalid_key.openai_body(), _invalid_key.headers)
"""The answer that strangers ask for most often: made once. There is one 401 only (`ias.errors`)."""
