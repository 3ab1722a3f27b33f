"""The error catalogue: every body in both shapes is golden, because clients program against it."""

import inspect
import json

import pytest

from ias import errors
from ias.errors import ApiError
from tests.support.golden import FOLDER, assert_golden

ARGUMENTS: dict[str, object] = {
    "model": 'llama "3" ü',
    "method": "GET",
    "path": "/v1/nothing",
    "message": "'temperature' must be a number.",
    "param": "temperature",
    "code": "invalid_type",
    "encoding": "gzip",
    "limit_bytes": 10_485_760,
    "kind": "requests",
    "limit_name": "60 requests per minute for the model 'llama'",
    "retry_after_ms": 1_500,
    "headers": (("x-ratelimit-limit-requests", "60"),),
    "what": "The admission store",
    "instead": "POST /v2/models/iris/infer",
    "budget_name": "monthly token budget of the organization",
    "reset_ms": 864_000_001,
}
MAKERS = {name: maker for name, maker in inspect.getmembers(errors, inspect.isfunction) if maker.__module__ == errors.__name__ and name[0] != "_"}


def example(name: str) -> ApiError:
    maker = MAKERS[name]
    error = maker(**{parameter: ARGUMENTS[parameter] for parameter in inspect.signature(maker).parameters})
    assert isinstance(error, ApiError)
    return error


@pytest.mark.parametrize("name", MAKERS)
def test_an_error_looks_as_it_always_did(name: str) -> None:
    error = example(name)
    lines = [f"HTTP {error.status}", *(f"{header}: {value}" for header, value in error.headers), "", "OpenAI", error.openai_body().decode()]
    assert_golden(f"errors/{name}.txt", "\n".join([*lines, "", "KServe", error.kserve_body().decode(), ""]))


@pytest.mark.parametrize("name", MAKERS)
def test_the_openai_body_has_the_four_fields_that_sdks_read(name: str) -> None:
    error = example(name)
    body = json.loads(error.openai_body())
    assert body == {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}
    assert json.loads(error.kserve_body()) == {"error": error.message}


@pytest.mark.parametrize("name", MAKERS)
def test_messages_are_sentences_and_headers_are_lower_case(name: str) -> None:
    error = example(name)
    assert error.message.endswith(".")
    assert 400 <= error.status < 600
    assert [header for header, _ in error.headers] == [header.lower() for header, _ in error.headers]


def test_the_catalogue_has_no_golden_file_too_many() -> None:
    assert {path.stem for path in (FOLDER / "errors").iterdir()} == set(MAKERS)


WAITS = [(-5, "1", "1"), (0, "1", "1"), (1, "1", "1"), (999, "1", "999"), (1000, "1", "1000"), (1001, "2", "1001"), (60_000, "60", "60000")]


@pytest.mark.parametrize(("wait_ms", "seconds", "milliseconds"), [*WAITS, (10**9, "60", "60000")])
def test_the_time_to_wait_is_rounded_up_and_capped(wait_ms: int, seconds: str, milliseconds: str) -> None:
    error = errors.rate_limited("tokens", "1000 tokens per minute", wait_ms)
    assert dict(error.headers) == {"retry-after": seconds, "retry-after-ms": milliseconds}
    assert f"{seconds} second" in error.message


def test_a_second_is_one_second() -> None:
    assert "Try again in 1 second." in errors.rate_limited("requests", "x", 1000).message
    assert "Try again in 2 seconds." in errors.rate_limited("requests", "x", 1500).message


@pytest.mark.parametrize(
    ("reset_ms", "seconds", "said"),
    [
        (0, "1", "1 second,"),
        (90_000, "90", "90 seconds,"),
        (120_000, "120", "2 minutes,"),
        (7_199_001, "7200", "2 hours,"),
        (2_678_400_000, "2678400", "31 days,"),
    ],
)
def test_a_spent_budget_says_when_it_begins_anew(reset_ms: int, seconds: str, said: str) -> None:
    error = errors.insufficient_quota("monthly token budget of the user", reset_ms)
    assert dict(error.headers) == {"retry-after": seconds, "x-should-retry": "false"}
    assert f"begins anew in {said}" in error.message


def test_no_retry_is_invited_where_none_can_succeed() -> None:
    headers = dict(errors.too_large_for_limit("tokens", "x").headers)
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers


def test_an_unavailable_dependency_is_never_blamed_on_the_key() -> None:
    assert errors.service_unavailable("The key store").status == 503


def test_an_error_can_be_raised_and_names_itself() -> None:
    with pytest.raises(ApiError) as raised:
        raise errors.invalid_api_key()
    assert raised.value.code == "invalid_api_key"


@pytest.mark.parametrize("name", MAKERS)
def test_the_messages_api_has_anthropics_shape(name: str) -> None:
    error = example(name)
    body = json.loads(error.body("/v1/messages"))
    assert body == {"type": "error", "error": {"type": error.anthropic_type, "message": error.message, "code": error.code}}
    assert error.body("/v1/chat/completions") == error.openai_body()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.invalid_api_key(), "authentication_error"),
        (errors.model_not_found("m"), "not_found_error"),
        (errors.rate_limited("tokens", "x", 1), "rate_limit_error"),
        (errors.invalid_request("x"), "invalid_request_error"),
        (errors.service_unavailable("x"), "api_error"),
        (errors.upstream_timeout(), "timeout_error"),
    ],
)
def test_anthropics_names(error: ApiError, kind: str) -> None:
    assert error.anthropic_type == kind
