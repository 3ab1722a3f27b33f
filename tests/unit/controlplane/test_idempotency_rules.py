"""What is kept of an answer, and what stands for a request."""

import json

import pytest

from controlplane.errors import Problem
from controlplane.idempotency.rules import check_key, digest_of, kept, shows_secret


def test_an_answer_is_kept_with_the_headers_that_matter() -> None:
    answer = kept(201, {"location": "/api/org/1", "x-request-id": "r", "content-type": "application/json"}, b'{"id":"1"}')
    assert answer.headers == {"location": "/api/org/1", "content-type": "application/json"}
    assert (answer.status, answer.body, answer.made_id) == (201, '{"id":"1"}', "1")


def test_an_answer_without_a_body_is_kept_too() -> None:
    assert kept(204, {}, b"").body == ""


@pytest.mark.parametrize("content", [{"apiKey": "x"}, {"user": {"initialPassword": "x"}}, [{"link": "https://x"}], {"items": [{"token": "x"}]}])
def test_what_shows_a_secret_is_kept_without_its_body(content: object) -> None:
    answer = kept(201, {}, json.dumps(content).encode())
    assert answer.body is None


@pytest.mark.parametrize("content", [{"initialPassword": None}, {"tokens": 5}, {"nextCursor": "x"}, [], "text", None])
def test_what_shows_none(content: object) -> None:
    assert not shows_secret(content)


def test_a_request_is_its_target_and_its_body() -> None:
    digests = {digest_of("/api/org?", b"{}"), digest_of("/api/org?x=1", b"{}"), digest_of("/api/org?", b"{ }"), digest_of("/api/org?{", b"}")}
    assert len(digests) == 4


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä", "a\n"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(Problem):
        check_key(key)
