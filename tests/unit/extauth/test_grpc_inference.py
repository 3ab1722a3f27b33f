"""gRPC inference: the model is read from the message, and nothing that can be read in two ways passes."""

import pytest

from extauth.answer import refuse
from extauth.grpc_inference import MAX_FIELDS, endpoint_of, model_in
from extauth.incoming import Incoming
from ias.endpoints import Endpoint
from ias.errors import rate_limited
from protos.auth_pb2 import CheckResponse
from tests.unit.extauth.test_traditional import iris, passage, refused
from tests.unit.extauth.world import incoming

INFER = "/inference.GRPCInferenceService/ModelInfer"


def field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2, len(content))) + content


def framed(message: bytes, *, compressed: bool = False) -> bytes:
    return bytes((compressed,)) + len(message).to_bytes(4) + message


def call(message: bytes, path: str = INFER) -> Incoming:
    return incoming(framed(message), path, content_type="application/grpc")


@pytest.mark.parametrize(
    ("method", "endpoint"),
    [
        ("ModelInfer", Endpoint.KSERVE_V2_INFER),
        ("ModelReady", Endpoint.KSERVE_V2_READY),
        ("ModelMetadata", Endpoint.KSERVE_V2_METADATA),
        ("ModelStreamInfer", None),
        ("RepositoryModelUnload", None),
        ("", None),
    ],
)
def test_only_these_calls_are_known(method: str, endpoint: Endpoint | None) -> None:
    assert endpoint_of("POST", f"/inference.GRPCInferenceService/{method}") is endpoint
    assert endpoint_of("GET", f"/inference.GRPCInferenceService/{method}") is None


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (framed(field(1, b"iris")), "iris"),
        (framed(field(2, b"3") + field(7, b"\x00" * 100) + field(1, b"iris")), "iris"),
        (framed(b"\x18\x96\x01" + b"\x21" + b"8" * 8 + b"\x2d" + b"4" * 4 + field(1, "μ".encode())), "μ"),
        (framed(field(1, b"iris") + field(1, b"other")), ""),
        (framed(field(1, b"\xff")), ""),
        (framed(b"\x08\x01"), ""),
        (framed(b""), ""),
        (framed(field(1, b"iris"), compressed=True), ""),
        (framed(field(1, b"iris")) + framed(field(1, b"other")), ""),
        (framed(field(1, b"iris") + b"\x12\x7f"), ""),
        (framed(field(1, b"iris") + b"\x13"), ""),
        (framed(field(1, b"iris") + b"\xff" * 11), ""),
        (framed(field(1, b"iris") + field(2, b"") * MAX_FIELDS), ""),
        (b"", ""),
    ],
)
def test_the_one_name_in_the_one_message(body: bytes, model: str) -> None:
    assert model_in(body) == model


def test_a_call_passes_as_it_is() -> None:
    result = passage(call(field(1, b"iris")), iris(upstream_model="iris"))
    assert (result.context.path, result.context.endpoint, result.context.model) == (INFER, Endpoint.KSERVE_V2_INFER, "iris")


def test_what_the_engine_would_read_differently_is_refused() -> None:
    assert refused(call(field(1, b"iris")), iris(upstream_model="another")) == (400, "invalid_value")
    assert refused(call(b"\x08"), iris(upstream_model="iris")) == (400, "invalid_value")
    assert refused(call(field(1, b"none")), iris(upstream_model="iris")) == (404, "model_not_found")


def test_a_refusal_is_a_status_of_grpc_and_a_sentence() -> None:
    denied = CheckResponse.FromString(refuse(rate_limited("requests", "requests per minute", 1_000), INFER)).denied_response
    headers = {option.header.key: option.header.value for option in denied.headers}
    assert (denied.status.code, headers["grpc-status"]) == (429, "8")
    assert "content-type" not in headers
    assert denied.body == "Rate limit reached: requests per minute. Try again in 1 second."
