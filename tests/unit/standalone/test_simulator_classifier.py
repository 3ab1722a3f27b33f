"""The simulated classifier: rows to classes over KServe's two forms, and what it takes for none."""

import struct
from typing import Any

import pytest

from standalone.engine_simulator.classifier import classify, explain, infer, instances
from standalone.engine_simulator.spelling import BadRequest


@pytest.mark.parametrize(("row", "class_of"), [([1.0, 3, 2], 1), ({"a": 5, "b": 1}, 0), ([0], 0), ([-2, -1], 1)])
def test_the_class_is_the_place_of_the_largest_feature(row: Any, class_of: int) -> None:
    assert classify(row) == class_of


def test_an_explanation_gives_the_decision_to_one_feature() -> None:
    assert explain([1, 9, 3]) == [0.0, 1.0, 0.0]


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [4, 3]], **changes}


def test_tensors_in_json_and_in_binary_say_the_same() -> None:
    output = {"name": "predict", "shape": [2], "datatype": "INT64", "data": [1, 0]}
    assert infer({"id": "7", "inputs": [tensor()]}, b"") == {"id": "7", "outputs": [output]}
    binary = tensor(parameters={"binary_data_size": 16})
    assert infer({"inputs": [binary]}, struct.pack("<4f", 1, 2, 4, 3)) == {"outputs": [output]}


@pytest.mark.parametrize(
    ("body", "tail"),
    [
        ({"inputs": []}, b""),
        ([], b""),
        ({"inputs": [tensor(shape=[3, 2])]}, b""),
        ({"inputs": [tensor(shape="x")]}, b""),
        ({"inputs": [tensor(datatype="BYTES")]}, b""),
        ({"inputs": [tensor(data="x")]}, b""),
        ({"inputs": [tensor(parameters={"binary_data_size": 15})]}, b"x" * 16),
        ({"inputs": [tensor(parameters={"binary_data_size": 16})]}, b"x" * 8),
        ({"inputs": [tensor()]}, b"more"),
    ],
)
def test_what_is_no_request_is_refused(body: Any, tail: bytes) -> None:
    with pytest.raises(BadRequest):
        infer(body, tail)


@pytest.mark.parametrize("body", [[], {}, {"instances": {}}])
def test_instances_are_a_list(body: Any) -> None:
    with pytest.raises(BadRequest, match="to be a list"):
        instances(body)


@pytest.mark.parametrize("row", [[], "x", [None], {"a": "x"}])
def test_what_is_no_row_is_refused(row: Any) -> None:
    with pytest.raises(BadRequest, match="an instance is"):
        classify(row)
