"""A small model, as scikit-learn would have one: the class of a row is the place of its largest feature. Pure."""

import struct
from collections.abc import Sequence
from typing import Any, Final

from standalone.engine_simulator.spelling import BadRequest, Json

_FORMATS: Final = {"FP32": "f", "FP64": "d", "INT32": "i", "INT64": "q", "UINT8": "B"}
"""Of tensors in binary, little-endian (Open Inference Protocol, binary tensor data extension)."""


def classify(row: Any) -> int:
    """Return the class of one row: a list of numbers, or an object of named ones."""
    values = list(row.values()) if isinstance(row, dict) else row
    if not isinstance(values, list) or not values or not all(isinstance(value, int | float) for value in values):
        raise BadRequest("an instance is a list of numbers, or an object of named ones")
    return values.index(max(values))


def instances(body: Any) -> list[Any]:
    """Return the rows of a KServe v1 request."""
    rows = body.get("instances", body.get("inputs")) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise BadRequest('Expected "instances" or "inputs" to be a list')
    return rows


def explain(row: Any) -> list[float]:
    """Return what each feature adds to the decision: all of it, or nothing."""
    size, chosen = len(row), classify(row)
    return [1.0 if place == chosen else 0.0 for place in range(size)]


def infer(body: Any, tail: bytes) -> Json:
    """Answer a KServe v2 request; `tail` holds the tensors that came in binary, one after the other."""
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise BadRequest('"inputs" must be a list of tensors')
    classes: list[int] = []
    for tensor in inputs:
        values, tail = _values(tensor, tail)
        rows = _rows(values, tensor.get("shape"))
        classes += [classify(row) for row in rows]
    if tail:
        raise BadRequest("the body is longer than its tensors")
    output = {"name": "predict", "shape": [len(classes)], "datatype": "INT64", "data": classes}
    return {**({"id": body["id"]} if "id" in body else {}), "outputs": [output]}


def _values(tensor: Any, tail: bytes) -> tuple[list[Any], bytes]:
    if not isinstance(tensor, dict) or tensor.get("datatype") not in _FORMATS:
        raise BadRequest(f"a tensor is an object whose datatype is one of {', '.join(_FORMATS)}")
    size = (tensor.get("parameters") or {}).get("binary_data_size")
    if size is None:
        return _flat(tensor.get("data")), tail
    form = _FORMATS[tensor["datatype"]]
    if not isinstance(size, int) or not 0 <= size <= len(tail) or size % struct.calcsize(form):
        raise BadRequest("binary_data_size does not fit the body")
    return list(struct.unpack(f"<{size // struct.calcsize(form)}{form}", tail[:size])), tail[size:]


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise BadRequest("a tensor needs its data")
    return [value for part in data for value in (_flat(part) if isinstance(part, list) else [part])]


def _rows(values: Sequence[Any], shape: Any) -> list[list[Any]]:
    count = shape[0] if isinstance(shape, list) and shape and isinstance(shape[0], int) else 0
    if count < 1 or not values or len(values) % count:
        raise BadRequest("the data does not have the tensor's shape")
    width = len(values) // count
    return [list(values[start : start + width]) for start in range(0, len(values), width)]
