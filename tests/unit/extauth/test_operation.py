import pytest

from extauth.operation import Operation, engine_target, find_operation
from extauth.publications import PublicationIndex
from ias.endpoints import Endpoint
from ias.errors import ApiError
from ias.gateway_views import ModelType
from tests.unit.extauth.world import index, publication

NOTHING = PublicationIndex()
PLACED = index(
    publication("llama", external_path="/v1/models/llama"),
    publication("chat", external_path="/acme/chat"),
    publication("iris", external_path="/acme/iris", model_type=ModelType.TRADITIONAL),
    publication("at-a", external_path="/same", public_hostname="a.example"),
    publication("at-b", external_path="/same", public_hostname="b.example"),
)


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("POST", "/v1/chat/completions", Operation(Endpoint.CHAT_COMPLETIONS)),
        ("POST", "/v1/chat/completions?trace=1", Operation(Endpoint.CHAT_COMPLETIONS)),
        ("POST", "/v1/completions", Operation(Endpoint.COMPLETIONS)),
        ("POST", "/v1/embeddings", Operation(Endpoint.EMBEDDINGS)),
        ("POST", "/v1/responses", Operation(Endpoint.RESPONSES)),
        ("POST", "/v1/messages", Operation(Endpoint.MESSAGES)),
        ("GET", "/v1/models", Operation(Endpoint.MODELS)),
        ("GET", "/v1/models/small", Operation(Endpoint.MODELS, "small")),
        ("GET", "/v1/models/meta/small", Operation(Endpoint.MODELS, "meta/small")),
        ("GET", "/v1/models/a%20b?x", Operation(Endpoint.MODELS, "a b")),
        ("POST", "/models/iris/predict", Operation(Endpoint.KSERVE_V1_PREDICT, "iris")),
        ("POST", "/models/iris/explain", Operation(Endpoint.KSERVE_V1_EXPLAIN, "iris")),
        ("POST", "/models/iris/infer?x=1", Operation(Endpoint.KSERVE_V2_INFER, "iris")),
        ("POST", "/v1/models/iris:predict", Operation(Endpoint.KSERVE_V1_PREDICT, "iris")),
        ("POST", "/v1/models/a.b:c:explain", Operation(Endpoint.KSERVE_V1_EXPLAIN, "a.b:c")),
        ("POST", "/v1/models/a%3Ab:predict", Operation(Endpoint.KSERVE_V1_PREDICT, "a:b")),
        ("POST", "/v1/models/x:predict:predict", Operation(Endpoint.KSERVE_V1_PREDICT, "x:predict")),
        ("POST", "/v2/models/iris/infer", Operation(Endpoint.KSERVE_V2_INFER, "iris")),
        ("POST", "/v2/models/iris/versions/3/infer", Operation(Endpoint.KSERVE_V2_INFER, "iris", "3")),
        ("GET", "/v2/models/iris", Operation(Endpoint.KSERVE_V2_METADATA, "iris")),
        ("GET", "/v2/models/iris/versions/3", Operation(Endpoint.KSERVE_V2_METADATA, "iris", "3")),
        ("GET", "/v2/models/iris/ready", Operation(Endpoint.KSERVE_V2_READY, "iris")),
        ("GET", "/v2/models/iris/versions/3/ready", Operation(Endpoint.KSERVE_V2_READY, "iris", "3")),
        ("GET", "/v2", Operation(Endpoint.KSERVE_V2_SERVER)),
        ("GET", "/v2/health/live", Operation(Endpoint.KSERVE_V2_SERVER)),
        ("GET", "/v2/health/ready", Operation(Endpoint.KSERVE_V2_SERVER)),
    ],
)
def test_allowed(method: str, target: str, operation: Operation) -> None:
    assert find_operation(method, target, NOTHING) == operation


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/models"),
        ("GET", "/v1/responses"),
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/models/small"),
        ("HEAD", "/v1/models"),
        ("post", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "//v1/chat/completions"),
        ("POST", "/V1/chat/completions"),
        ("POST", "/v1/chat/completions;x"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/%ff"),
        ("GET", "/metrics"),
        ("GET", "/models/iris/predict"),
        ("POST", "/models/iris"),
        ("POST", "/models/a/b/predict"),
        ("POST", "/models//predict"),
        ("POST", "/models/%ff/predict"),
        ("POST", "/v1/models/iris:load"),
        ("POST", "/v1/models/:predict"),
        ("POST", "/v1/models/a/b:predict"),
        ("GET", "/v2/"),
        ("GET", "/v2/models"),
        ("GET", "/v2/models/"),
        ("GET", "/v2/models/iris/infer"),
        ("GET", "/v2/models/iris/stats"),
        ("GET", "/v2/health"),
        ("POST", "/v2/models/iris"),
        ("POST", "/v2/models/iris/ready"),
        ("POST", "/v2/models/iris/generate"),
        ("POST", "/v2/models/iris/versions/../infer"),
        ("POST", "/v2/models/iris/versions/1%2F2/infer"),
        ("POST", "/v2/repository/models/iris/load"),
        ("POST", "/v2/repository/index"),
        ("POST", "/v1/load_lora_adapter"),
        ("GET", ""),
        ("", "/v1/models"),
    ],
)
def test_everything_else_is_unknown(method: str, target: str) -> None:
    with pytest.raises(ApiError) as refused:
        find_operation(method, target, NOTHING)
    assert (refused.value.status, refused.value.code) == (404, "unknown_url")


def test_the_error_repeats_neither_the_query_nor_endless_paths() -> None:
    with pytest.raises(ApiError) as refused:
        find_operation("GET", "/x" * 5_000 + "?secret", NOTHING)
    assert "secret" not in refused.value.message
    assert len(refused.value.message) < 300


@pytest.mark.parametrize(
    ("method", "target", "host", "operation"),
    [
        ("POST", "/acme/iris/predict", "", Operation(Endpoint.KSERVE_V1_PREDICT, "iris")),
        ("POST", "/acme/iris/infer", "", Operation(Endpoint.KSERVE_V2_INFER, "iris")),
        ("GET", "/acme/iris", "", Operation(Endpoint.MODELS, "iris")),
        ("POST", "/v1/models/llama/chat/completions?a", "", Operation(Endpoint.CHAT_COMPLETIONS, "llama")),
        ("POST", "/v1/models/llama/messages", "", Operation(Endpoint.MESSAGES, "llama")),
        ("POST", "/acme/chat/completions", "", Operation(Endpoint.COMPLETIONS, "chat")),
        ("POST", "/acme/chat/chat/completions", "", Operation(Endpoint.CHAT_COMPLETIONS, "chat")),
        ("GET", "/acme/chat", "", Operation(Endpoint.MODELS, "chat")),
        ("GET", "/same", "a.example", Operation(Endpoint.MODELS, "at-a")),
        ("GET", "/same", "B.Example.:8080", Operation(Endpoint.MODELS, "at-b")),
    ],
)
def test_a_publication_has_a_path_of_its_own(method: str, target: str, host: str, operation: Operation) -> None:
    assert find_operation(method, target, PLACED, host) == operation


@pytest.mark.parametrize(
    ("method", "target", "host"),
    [
        ("POST", "/acme/iris", ""),
        ("POST", "/acme/iris/load", ""),
        ("POST", "/acme/irisx/predict", ""),
        ("POST", "/acme/iris//predict", ""),
        ("POST", "/acme/iris/x/predict", ""),
        ("GET", "/acme/iris/", ""),
        ("GET", "/ACME/iris", ""),
        ("GET", "/same", "gateway:8080"),
        ("POST", "/acme/chat/metrics", ""),
    ],
)
def test_all_else_below_it_is_unknown(method: str, target: str, host: str) -> None:
    with pytest.raises(ApiError) as refused:
        find_operation(method, target, PLACED, host)
    assert refused.value.code == "unknown_url"


def test_the_name_of_a_model_goes_before_the_path_of_another() -> None:
    """Nobody takes over `/models/iris/predict` by publishing another model with that path."""
    taken = index(publication("iris"), publication("thief", external_path="/models/iris"))
    assert find_operation("POST", "/models/iris/predict", taken).model == "iris"
    assert find_operation("POST", "/models/iris/chat/completions", taken).model == "thief"


@pytest.mark.parametrize(
    ("operation", "target"),
    [
        (Operation(Endpoint.CHAT_COMPLETIONS), "/v1/chat/completions?a=b"),
        (Operation(Endpoint.CHAT_COMPLETIONS, "llama"), "/v1/chat/completions?a=b"),
        (Operation(Endpoint.KSERVE_V1_PREDICT, "iris"), "/v1/models/up%20%2Fstream:1:predict?a=b"),
        (Operation(Endpoint.KSERVE_V2_INFER, "iris"), "/v2/models/up%20%2Fstream:1/infer?a=b"),
        (Operation(Endpoint.KSERVE_V2_INFER, "iris", "2"), "/v2/models/up%20%2Fstream:1/versions/2/infer?a=b"),
        (Operation(Endpoint.KSERVE_V2_METADATA, "iris"), "/v2/models/up%20%2Fstream:1?a=b"),
    ],
)
def test_the_engine_is_asked_by_its_own_name(operation: Operation, target: str) -> None:
    asked = "/v1/chat/completions?a=b" if operation.model is None else "/whatever?a=b"
    assert engine_target(operation, "up /stream:1", asked) == target
