import pytest

from extauth.operation import Operation, find_operation
from ias.endpoints import Endpoint
from ias.errors import ApiError


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
    ],
)
def test_allowed(method: str, target: str, operation: Operation) -> None:
    assert find_operation(method, target) == operation


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
        ("POST", "/v1/load_lora_adapter"),
        ("GET", ""),
        ("", "/v1/models"),
    ],
)
def test_everything_else_is_unknown(method: str, target: str) -> None:
    with pytest.raises(ApiError) as refused:
        find_operation(method, target)
    assert (refused.value.status, refused.value.code) == (404, "unknown_url")


def test_the_error_repeats_neither_the_query_nor_endless_paths() -> None:
    with pytest.raises(ApiError) as refused:
        find_operation("GET", "/x" * 5_000 + "?secret")
    assert "secret" not in refused.value.message
    assert len(refused.value.message) < 300
