"""The wire form of replies: what Envoy ignores or punishes when it is wrong."""

import pytest

from extproc import replies
from ias import errors
from protos.ext_proc_pb2 import BodyMutation, BodyResponse, CommonResponse, ProcessingResponse, StreamedBodyResponse


def test_header_values_are_written_raw() -> None:
    (length,) = ProcessingResponse.FromString(replies.changed_request(b"12345")).request_body.response.header_mutation.set_headers
    assert (length.header.key, length.header.value, length.header.raw_value) == ("content-length", "", b"5")
    assert length.append_action == length.OVERWRITE_IF_EXISTS_OR_ADD


def test_a_refusal_has_openais_shape_and_says_when_to_try_again() -> None:
    answer = ProcessingResponse.FromString(replies.refusal(errors.service_unavailable("Metering"))).immediate_response
    assert {option.header.key: option.header.raw_value for option in answer.headers.set_headers} == {
        "content-type": b"application/json",
        "retry-after": b"1",
    }
    assert answer.body == errors.service_unavailable("Metering").openai_body()
    assert answer.status.code == 503


@pytest.mark.parametrize("kind", replies.CONTINUE)
def test_going_on_answers_the_kind_that_was_asked(kind: str) -> None:
    message = ProcessingResponse.FromString(replies.CONTINUE[kind])
    assert message.WhichOneof("response") == kind
    assert not message.HasField("mode_override")


@pytest.mark.parametrize("size", [0, 1, 100, 117, 118, 119, 120, 127, 128, 129, 16_383, 16_384, 70_000, 2_100_000])
@pytest.mark.parametrize("end", [False, True])
def test_what_is_spelled_by_hand_is_what_protobuf_spells(size: int, end: bool) -> None:
    body = b"x" * size
    streamed = BodyMutation(streamed_response=StreamedBodyResponse(body=body, end_of_stream=end))
    assert replies.passed_on(body, end=end) == _response_body(streamed)
    assert replies.changed_response(body) == _response_body(BodyMutation(body=body) if body else BodyMutation(clear_body=True))


def _response_body(mutation: BodyMutation) -> bytes:
    return ProcessingResponse(response_body=BodyResponse(response=CommonResponse(body_mutation=mutation))).SerializeToString()
