"""Models without tokens: the body of a request is never touched, an answer is only followed to its end."""

from typing import Any

import pytest

from extproc.answers import Way, Wishes, open_body
from extproc.rewrite import Changes, changes_for
from ias.endpoints import TOKENLESS, Endpoint
from ias.error_shapes import Shape, shape_of
from ias.usage_event import Outcome, UsageSource
from tests.support.ext_proc import Playbook, chunk, request_headers, response_headers, some_context

FOLLOW = "request_headers -x-ias-context +accept-encoding=identity; request body NONE, response body NONE"
PREDICT: dict[str, Any] = {"endpoint": Endpoint.KSERVE_V1_PREDICT, "path": "/v1/models/up:predict", "upstream_model": "up", "output_cap": 9}


@pytest.mark.parametrize("endpoint", sorted(TOKENLESS))
def test_the_body_is_never_changed(endpoint: Endpoint) -> None:
    assert changes_for(some_context(**(PREDICT | {"endpoint": endpoint}))) == Changes()


def test_where_the_path_names_the_model_it_is_written_into_the_body() -> None:
    context = some_context(model="llama", upstream_model="llama", writes_model=True)
    assert changes_for(context).model == "llama"
    assert changes_for(some_context(model="llama", upstream_model="llama")).model is None


@pytest.mark.parametrize(
    ("headers", "way"),
    [
        ({"content-type": "application/json", "content-length": "10"}, Way.READ_WHOLE),
        ({"content-type": "application/octet-stream", "content-length": "10"}, Way.READ_WHOLE),
        ({"content-type": "application/json", "content-length": "1000000"}, Way.READ),
        ({"content-type": "application/json"}, Way.READ),
        ({"content-type": "text/event-stream"}, Way.READ),
    ],
)
def test_an_answer_passes(headers: dict[str, str], way: Way) -> None:
    assert open_body(some_context(**PREDICT), headers, Wishes(may_end=True))[1] is way


@pytest.mark.parametrize(
    ("length", "outcome"),
    [({"content_length": "10"}, Outcome.COMPLETE), ({"content_length": "11"}, Outcome.CLIENT_ABORT), ({}, Outcome.CLIENT_ABORT)],
)
def test_who_leaves_before_the_end_is_told_by_the_length(length: dict[str, str], outcome: Outcome) -> None:
    play = Playbook() >> request_headers(some_context(**PREDICT)) << FOLLOW
    play = play >> response_headers(200, "application/octet-stream", **length) >> chunk(b"0123456789")
    event = play.stop().event
    assert (event.outcome, event.output_tokens, event.usage_source) == (outcome, 0, UsageSource.COUNTED)


@pytest.mark.parametrize(
    ("target", "shape"),
    [
        ("/v1/chat/completions", Shape.OPENAI),
        ("/v1/models/iris", Shape.OPENAI),
        ("/v1/models/llama/chat/completions", Shape.OPENAI),
        ("/v1/chat/completions?x=/predict", Shape.OPENAI),
        ("/v1/messages", Shape.ANTHROPIC),
        ("/v1/messages/count_tokens?beta=true", Shape.ANTHROPIC),
        ("/acme/llama/messages", Shape.ANTHROPIC),
        ("/v1/models/iris:predict", Shape.KSERVE),
        ("/v1/models/a:b:explain?x", Shape.KSERVE),
        ("/v2", Shape.KSERVE),
        ("/v2?x", Shape.KSERVE),
        ("/v2/health/live", Shape.KSERVE),
        ("/v2x", Shape.OPENAI),
        ("/models/iris/predict?a=b", Shape.KSERVE),
        ("/acme/iris/infer", Shape.KSERVE),
        ("", Shape.OPENAI),
    ],
)
def test_the_target_tells_the_shape_of_errors(target: str, shape: Shape) -> None:
    assert shape_of(target) is shape
