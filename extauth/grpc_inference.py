"""KServe's gRPC inference (Open Inference Protocol): which model a call asks for, read from its message. Pure.

Only calls of one message are known: of a stream Envoy would wait for the end before it asks. The message passes to the
engine as it is, so the engine must know the model by the name that it is published under.
"""

from typing import Final

from ias.endpoints import Endpoint

SERVICE: Final = "/inference.GRPCInferenceService/"
MAX_FIELDS: Final = 1_024
"""Of a message's own: tensors and parameters are one each. Strangers choose how many there are."""

_METHODS = {"ModelInfer": Endpoint.KSERVE_V2_INFER, "ModelMetadata": Endpoint.KSERVE_V2_METADATA, "ModelReady": Endpoint.KSERVE_V2_READY}
_PREFIX = 5
_MODEL_FIELD = 1
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """Return what a call asks for; None for what is no call, and for streams."""
    return _METHODS.get(path.removeprefix(SERVICE)) if method == "POST" and path.startswith(SERVICE) else None


def model_in(body: bytes) -> str:
    """Return the model that the one message of a body names; empty when it cannot be read, or names two.

    In all three messages the name is field 1 (grpc_predict_v2.proto); the frame around them is gRPC's, uncompressed.
    """
    if len(body) < _PREFIX or body[0] != 0 or int.from_bytes(body[1:_PREFIX]) != len(body) - _PREFIX:
        return ""
    found: list[bytes] = []
    try:
        position = _PREFIX
        for _ in range(MAX_FIELDS):
            if position == len(body):
                return found[0].decode() if len(found) == 1 else ""
            position = _read_field(body, position, found)
    except (ValueError, IndexError):  # no UTF-8, and no protobuf
        pass
    return ""


def _read_field(body: bytes, position: int, found: list[bytes]) -> int:
    """Skip a field, and keep it if it is the model's name; return where the next one begins."""
    tag, position = _varint(body, position)
    number, kind = tag >> 3, tag & 7
    if number == _MODEL_FIELD and kind != _LENGTH:
        raise ValueError("a name is a text")
    if kind == _VARINT:
        return _varint(body, position)[1]
    if kind == _LENGTH:
        length, position = _varint(body, position)
        end = position + length
        if number == _MODEL_FIELD:
            found.append(body[position:end])
    elif kind in {_EIGHT_BYTES, _FOUR_BYTES}:
        end = position + (8 if kind == _EIGHT_BYTES else 4)
    else:
        raise ValueError("groups are not of this protocol")
    if end > len(body):
        raise ValueError("a field ends behind its message")
    return end


def _varint(body: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = body[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a number is too long")
