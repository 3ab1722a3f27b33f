"""The wire form of replies: what Envoy ignores or punishes when it is wrong."""

import pytest

from extproc import replies
from ias import errors
from protos.ext_proc_pb2 import ProcessingResponse


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
