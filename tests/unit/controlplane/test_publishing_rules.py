"""Names of publications, and which engine a model is taken from."""

import uuid

import pytest

from controlplane.backends.rules import Health
from controlplane.errors import Problem
from controlplane.publishing.rules import Candidate, check_key, check_limits, check_name, choose_backend, default_path, detect_type


def backend(name: str = "a", health: Health = Health.HEALTHY, models: tuple[str, ...] = ("chat",)) -> Candidate:
    return Candidate(uuid.uuid4(), name, "openai", health, "status 500" if health is Health.UNHEALTHY else "", models)


def code(call: object, *arguments: object) -> str:
    with pytest.raises(Problem) as raised:
        call(*arguments)  # type: ignore[operator]
    return raised.value.code


@pytest.mark.parametrize("name", ["a", "gpt-4o-mini", "Llama-3.1:8b", "x_1", "9", "x" * 128])
def test_names_that_can_be_published(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "meta/llama", "ä", "x" * 129, "a\n"])
def test_names_that_cannot(name: str) -> None:
    assert code(check_name, name) == "invalid_model_name"


def test_only_traditional_models_go_without_keys() -> None:
    check_key("openai", True)
    check_key("traditional", False)
    assert code(check_key, "openai", False) == "API_KEY_REQUIRED"


def test_a_type_has_a_reason() -> None:
    openai = backend("gpu")
    assert detect_type(None, [openai]) == ("openai", "gpu answered its probe in OpenAI's API")
    assert detect_type("openai", [openai]) == ("openai", "config.modelType says so")
    assert detect_type("traditional", [openai])[1] == "config.modelType says so, though gpu answered its probe in OpenAI's API"


def test_a_burst_needs_a_rate() -> None:
    values = {"burst_limit": 5, "requests_per_minute": 10, "context_tokens": None, "output_cap": 100}
    check_limits(values)
    assert code(check_limits, values | {"requests_per_minute": None}) == "invalid_request"


def test_an_output_fits_into_the_context() -> None:
    values = {"burst_limit": None, "requests_per_minute": None, "context_tokens": 100, "output_cap": 100}
    check_limits(values)
    assert code(check_limits, values | {"output_cap": 101}) == "invalid_request"


def test_the_one_engine_that_serves_the_model_is_found() -> None:
    one = backend()
    assert choose_backend([one], None, "chat") is one


def test_a_healthy_engine_is_preferred_and_two_are_ambiguous() -> None:
    well, ill = backend("well"), backend("ill", Health.UNHEALTHY)
    assert choose_backend([ill, well], None, "chat") is well
    assert code(choose_backend, [well, backend("other")], None, "chat") == "AMBIGUOUS_BACKEND"
    assert choose_backend([well], "well", "chat") is well


def test_no_engine_and_an_ill_engine_are_told_apart() -> None:
    assert code(choose_backend, [], None, "chat") == "MODEL_NOT_FOUND"
    assert code(choose_backend, [], "gone", "chat") == "MODEL_NOT_FOUND"
    assert code(choose_backend, [backend(models=("other",))], "a", "chat") == "MODEL_NOT_FOUND"
    assert code(choose_backend, [backend(health=Health.UNHEALTHY)], None, "chat") == "MODEL_NOT_READY"
    assert code(choose_backend, [backend(health=Health.UNKNOWN, models=())], "a", "chat") == "MODEL_NOT_READY"


def test_clients_find_a_model_where_openai_has_it() -> None:
    assert default_path("chat", "openai") == "/v1/models/chat"
    assert default_path("iris", "traditional") == "/models/iris"
