"""Models without tokens: what is asked of them, by whom, with and without a key."""

import json
from typing import Any

import pytest

from extauth.decision import answer_here, decide, identify, visitor
from extauth.incoming import Incoming
from extauth.learned import LearnedValues
from extauth.passage import Passage
from extauth.publications import PublicationIndex
from ias.endpoints import Endpoint
from ias.errors import ApiError
from ias.gateway_views import Budget, ModelType, Publication, ScopeLimits
from ias.ids import NOBODY
from ratelimit.ports import TokenHold
from tests.unit.extauth.world import KEY, POLICY, incoming, index, known, publication

LIMITS = ScopeLimits(requests_per_minute=9, tokens_per_minute=5, concurrent_requests=3)


def iris(**changes: Any) -> Publication:
    fields: dict[str, Any] = {"model_type": ModelType.TRADITIONAL, "limits": LIMITS, "owner_org_id": "org-1", "external_path": "/acme/iris"}
    return publication("iris", **(fields | changes))


def keyless(target: str, method: str = "POST", **headers: str) -> Incoming:
    return Incoming(method, target, {"x-request-id": "req-1", "x-forwarded-for": "203.0.113.9", **headers}, b"")


def passage(request: Incoming, *published: Publication, **of_key: Any) -> Passage:
    publications = index(*(published or (iris(),)))
    operation, key = identify(request, publications)
    who = known(**of_key) if key is not None else visitor(operation, publications, request.host)
    return decide(request, operation, who, publications, LearnedValues(1), POLICY, now_ms=1)


def refused(request: Incoming, *published: Publication, **of_key: Any) -> tuple[int, str]:
    with pytest.raises(ApiError) as error:
        passage(request, *published, **of_key)
    return error.value.status, error.value.code


@pytest.mark.parametrize(
    ("method", "target", "endpoint", "path"),
    [
        ("POST", "/models/iris/predict", Endpoint.KSERVE_V1_PREDICT, "/v1/models/engine%2Firis:predict"),
        ("POST", "/acme/iris/infer", Endpoint.KSERVE_V2_INFER, "/v2/models/engine%2Firis/infer"),
        ("GET", "/v1/models/iris", Endpoint.KSERVE_V1_STATUS, "/v1/models/engine%2Firis"),
        ("GET", "/acme/iris", Endpoint.KSERVE_V1_STATUS, "/v1/models/engine%2Firis"),
        ("GET", "/v2/models/iris/ready", Endpoint.KSERVE_V2_READY, "/v2/models/engine%2Firis/ready"),
    ],
)
def test_it_passes_with_limits_of_requests_alone(method: str, target: str, endpoint: Endpoint, path: str) -> None:
    body = b"\x00 not JSON"
    of_key = {"key_limits": LIMITS, "org_limits": ScopeLimits(budgets=(Budget("month", 0),)), "labels": {"team": "a"}}
    result = passage(incoming(body, target, method), **of_key)
    context = result.context
    assert (context.endpoint, context.path, context.model, context.upstream_model) == (endpoint, path, "iris", "engine/iris")
    assert (context.stream, context.add_usage, context.writes_model, context.tags) == (False, False, False, {"team": "a"})
    assert [limit.bucket for limit in result.limits] == ["key:key-1:rpm", "key:key-1:streams", "pub:pub-iris:rpm", "pub:pub-iris:streams"]
    assert result.plan.hold == TokenHold(0)
    assert result.plan.grant(0).held_tokens == 0


@pytest.mark.parametrize(
    ("request_of", "code"),
    [
        (incoming(b'{"model":"iris","messages":[]}'), "wrong_protocol"),
        (incoming(b"{}", "/acme/iris/chat/completions"), "wrong_protocol"),
        (incoming(b"", "/models/small/predict"), "wrong_protocol"),
        (incoming(b"", "/v2/models/small", "GET"), "wrong_protocol"),
        (incoming(b"x" * 1_001, "/models/iris/predict"), "request_too_large"),
        (incoming(b"", "/models/iris/predict", content_encoding="gzip"), "unsupported_encoding"),
        (incoming(b"", "/models/none/predict"), "model_not_found"),
    ],
)
def test_what_is_refused(request_of: Incoming, code: str) -> None:
    assert refused(request_of, iris(), publication())[1] == code


def test_access_is_that_of_every_model() -> None:
    request = incoming(b"", "/models/iris/predict")
    assert refused(request, iris(allowed_org_ids=("org-2",))) == (404, "model_not_found")
    assert refused(request, allowed_models=("other",)) == (403, "model_not_allowed")
    assert refused(incoming(b'{"model":"iris"}'), iris(allowed_org_ids=("org-2",))) == (404, "model_not_found"), "nobody learns its protocol"


def test_only_openai_models_are_listed_for_openai_clients() -> None:
    publications = index(iris(), publication())
    request = incoming(b"", "/v1/models", "GET")
    listed = answer_here(request, identify(request, publications)[0], known(), publications)
    assert listed is not None
    assert [model["id"] for model in json.loads(listed)["data"]] == ["small"]


@pytest.mark.parametrize(
    ("path", "answer"),
    [("/v2", {"name": "ias", "version": "2", "extensions": []}), ("/v2/health/live", {"live": True}), ("/v2/health/ready?x", {"ready": True})],
)
def test_the_gateway_answers_for_the_server(path: str, answer: object) -> None:
    request = incoming(b"", path, "GET")
    said = answer_here(request, identify(request, PublicationIndex())[0], known(), PublicationIndex())
    assert said is not None
    assert json.loads(said) == answer


def test_a_place_of_an_openai_model_names_it() -> None:
    llama = publication("llama", external_path="/acme/llama")
    result = passage(incoming(b'{"messages":[]}', "/acme/llama/chat/completions?x=1"), llama)
    assert (result.context.model, result.context.path, result.context.writes_model) == ("llama", "/v1/chat/completions?x=1", True)
    assert passage(incoming(b'{"model":"gpt-4","messages":[]}', "/acme/llama/chat/completions"), llama).context.model == "llama"
    assert not passage(incoming(b'{"model":"llama","messages":[]}'), llama).context.writes_model


# --- without a key ---

OPEN = iris(require_api_key=False)


@pytest.mark.parametrize("target", ["/models/iris/predict", "/v1/models/iris:predict", "/v2/models/iris/infer", "/acme/iris/predict"])
def test_a_visitor_is_the_owners_and_limited_three_times_over(target: str) -> None:
    owner = {"owner_limits": ScopeLimits(requests_per_hour=7, tokens_per_hour=1)}
    result = passage(keyless(target), iris(require_api_key=False, **owner), publication())
    context = result.context
    assert (context.org_id, context.user_id, context.key_id, context.publication_id) == ("org-1", NOBODY, NOBODY, "pub-iris")
    assert [(limit.bucket, limit.refill) for limit in result.limits] == [
        ("network:pub-iris:203.0.113.0/24:rpm", 60),
        ("visitors:pub-iris:rpm", 9),
        ("visitors:pub-iris:streams", 0),
        ("org:rph", 7),
    ]


def test_an_address_that_is_not_known_is_limited_too() -> None:
    request = Incoming("POST", "/models/iris/predict", {"x-request-id": "r"}, b"")
    assert passage(request, OPEN).limits[0].bucket == "network:pub-iris:unknown:rpm"


@pytest.mark.parametrize(
    ("target", "changes"),
    [
        ("/models/iris/predict", {"require_api_key": True}),
        ("/models/iris/predict", {"owner_active": False}),
        ("/models/iris/predict", {"model_type": ModelType.OPENAI}),
        ("/models/iris/chat/completions", {}),
        ("/acme/iris/chat/completions", {}),
        ("/models/small/predict", {}),
        ("/v2", {}),
        ("/v2/health/live", {}),
    ],
)
def test_everybody_else_needs_a_key(target: str, changes: dict[str, Any]) -> None:
    method = "GET" if target.startswith("/v2") else "POST"
    open_but = iris(**({"require_api_key": False} | changes))
    if target == "/models/iris/chat/completions":
        assert refused(keyless(target, method), open_but) == (404, "unknown_url")
    else:
        assert refused(keyless(target, method), open_but, publication()) == (401, "invalid_api_key")


def test_the_models_of_a_visitor_end_at_that_one() -> None:
    for target in ("/v1/models", "/v1/models/small"):
        assert refused(keyless(target, "GET"), OPEN, publication()) == (401, "invalid_api_key")
    chat = Incoming("POST", "/v1/chat/completions", {"x-request-id": "r"}, b'{"model":"iris"}')
    assert refused(chat, OPEN) == (401, "invalid_api_key")


def test_approval_counts_for_visitors_too() -> None:
    assert refused(keyless("/models/iris/predict"), iris(require_api_key=False, allowed_org_ids=("org-2",))) == (404, "model_not_found")


def test_a_bad_key_is_refused_also_where_none_is_needed() -> None:
    request = keyless("/models/iris/predict", authorization="Bearer wrong")
    assert refused(request, OPEN) == (401, "invalid_api_key")


def test_a_key_is_used_where_it_is_sent() -> None:
    request = incoming(b"", "/models/iris/predict")
    assert KEY.text in request.headers["authorization"]
    assert passage(request, OPEN).context.key_id == "key-1"
