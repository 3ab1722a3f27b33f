import pytest

from extauth import answer
from ias import errors
from tests.support.checks import read_answer


def test_allow() -> None:
    verdict = read_answer(answer.allow("ctx", "small", (("x-ratelimit-limit-requests", "9"),)))
    assert verdict.allowed
    assert verdict.headers == {"x-ias-context": "ctx", "x-ias-model": "small"}
    assert verdict.client_headers == {"x-ratelimit-limit-requests": "9"}
    assert verdict.removed == ("authorization", "x-api-key", "api-key", "x-request-tags")


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 100_000])
def test_values_of_any_length(length: int) -> None:
    verdict = read_answer(answer.allow("c" * length, "small", (("x-long", "v" * length),)))
    assert (verdict.headers["x-ias-context"], verdict.client_headers["x-long"]) == ("c" * length, "v" * length)
    assert verdict.removed


def test_an_answer_of_our_own() -> None:
    verdict = read_answer(answer.respond(200, b'{"object":"list"}'))
    assert (verdict.allowed, verdict.status, verdict.body) == (False, 200, b'{"object":"list"}')
    assert verdict.headers == {"content-type": "application/json"}


@pytest.mark.parametrize(
    "error",
    [
        errors.invalid_api_key(),
        errors.model_not_allowed("m"),
        errors.unknown_url("GET", "/ä"),
        errors.rate_limited("requests", "rpm", 1_500, (("x-ratelimit-limit-requests", "1"),)),
        errors.service_unavailable("X"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages?beta=true"])
def test_errors_keep_status_body_and_headers(path: str, error: errors.ApiError) -> None:
    verdict = read_answer(answer.refuse(error, path))
    assert (verdict.status, verdict.body) == (error.status, error.body(path))
    assert verdict.headers == {"content-type": "application/json", **dict(error.headers)}
