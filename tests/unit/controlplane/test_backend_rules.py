"""Addresses of engines, and what a probe's answers say."""

import pytest

from controlplane.backends.rules import MAX_MODELS, Health, canonical_base_url, judge, read_models


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("http://10.0.0.7:8000", "http://10.0.0.7:8000"),
        ("http://10.0.0.7", "http://10.0.0.7:80"),
        ("https://Engine.Example/", "https://engine.example:443"),
        (" http://vllm:8000 ", "http://vllm:8000"),
        ("http://[::0001]:8000", "http://[::1]:8000"),
    ],
)
def test_equal_engines_get_equal_addresses(text: str, canonical: str) -> None:
    assert canonical_base_url(text) == canonical
    assert canonical_base_url(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "http:// or https://"),
        ("vllm:8000", "http:// or https://"),
        ("ftp://vllm", "http:// or https://"),
        ("http://", "not a valid name"),
        ("http://user:secret@vllm", "do not belong"),
        ("http://vllm/v1", "without path"),
        ("http://vllm?x=1", "without path"),
        ("http://vllm/#", "without path"),
        ("http://vllm:0", "port 0"),
        ("http://vllm:99999", "not a URL"),
        ("http://1.2.3", "not an IPv4 address"),
        ("http://[::g]", "not"),
        ("http://-vllm", "not a valid name"),
        ("http://a b", "not a valid name"),
    ],
)
def test_what_is_no_address_of_an_engine_is_told_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical_base_url(text)


def test_models_are_read_sorted_and_once() -> None:
    assert read_models(b'{"object": "list", "data": [{"id": "b", "object": "model"}, {"id": "a"}, {"id": "b"}]}') == ("a", "b")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"data": null}', b'{"data": [{"id": ""}]}', b'{"data": [{"id": "a\\u0000"}]}', b'{"data": [{"id": "\xff"}]}'],
    ids=["empty", "html", "array", "null", "empty name", "nul", "not utf-8"],
)
def test_what_is_no_list_of_models_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"models"):
        read_models(body)


def test_a_list_beyond_reason_is_refused() -> None:
    names = ",".join(f'{{"id": "m{n}"}}' for n in range(MAX_MODELS + 1))
    with pytest.raises(ValueError, match="more than"):
        read_models(f'{{"data": [{names}]}}'.encode())


def test_an_engine_is_healthy_when_it_says_so_and_tells_its_models() -> None:
    assert judge(None, ["a"], None).health is Health.HEALTHY
    assert judge("status 500", ["a"], None).reason == "status 500"
    silent = judge(None, None, "no answer")
    assert (silent.health, silent.reason, silent.models) == (Health.UNHEALTHY, "no answer", None)
