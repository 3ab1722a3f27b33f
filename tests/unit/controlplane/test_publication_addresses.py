"""Hostnames and paths of publications: one spelling, nobody else's place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.errors import Problem
from controlplane.publishing.addresses import ancestors, canonical_hostname, canonical_path, canonical_pattern, check_hostname, check_path


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("API.Example.COM", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("api.router.inference-in-a-box", "api.router.inference-in-a-box"),
        ("localhost", "localhost"),
    ],
)
def test_a_hostname_has_one_spelling(text: str, canonical: str) -> None:
    assert canonical_hostname(text) == canonical
    assert canonical_hostname(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    ["", ".", "a b", "a:8080", "http://a", "a/b", "*.a", "-a", "a-", "a..b", "a_b", "a" * 64, "a." * 130, "[::1]", "u@h", "a%2e", "☃☃.-", "a\n"],
)
def test_what_is_no_hostname(text: str) -> None:
    with pytest.raises(ValueError, match="host"):
        canonical_hostname(text)


@pytest.mark.parametrize(("text", "canonical"), [("/a", "/a"), ("/a/", "/a"), ("/a/b-c_d.e~f:g", "/a/b-c_d.e~f:g"), ("/A", "/A")])
def test_a_path_has_one_spelling(text: str, canonical: str) -> None:
    assert canonical_path(text) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "/", "a", "//", "/a//b", "/a//", "/./a", "/a/..", "/a/../b", "/a%2fb", "/a%2Fb", "/a\\b", "/a?b", "/a#b", "/a b", "/ä", "/" + "a" * 256],
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="a path"):
        canonical_path(text)


@pytest.mark.parametrize("path", ["/team/chat", "/apps", "/models/mine", "/v1/models/mine", "/v2/models/mine", "/v1beta", "/modelsx"])
def test_free_places(path: str) -> None:
    check_path(path, "mine")


@pytest.mark.parametrize(
    "path",
    [
        *("/v1", "/v1/chat", "/v1/chat/completions", "/v1/models", "/v1/models/other", "/v2", "/models", "/models/other", "/models/mine/x"),
        *("/api", "/api/x", "/metrics", "/healthz", "/inference.GRPCInferenceService/ModelInfer", "/.well-known/acme"),
    ],
)
def test_places_that_the_gateway_answers_itself(path: str) -> None:
    with pytest.raises(Problem) as refused:
        check_path(path, "mine")
    assert (refused.value.status, refused.value.code) == (422, "RESERVED_PATH")


def test_the_hostnames_of_an_org() -> None:
    allowed = [canonical_pattern("API.acme.example"), canonical_pattern("*.ml.acme.example")]
    for hostname in (None, "api.acme.example", "a.ml.acme.example", "a.b.ml.acme.example"):
        check_hostname(hostname, allowed)
    for hostname in ("acme.example", "ml.acme.example", "xml.acme.example", "api.acme.example.evil"):
        with pytest.raises(Problem, match="acme"):
            check_hostname(hostname, allowed)
    check_hostname("any.where", None)
    with pytest.raises(Problem, match="none"):
        check_hostname("any.where", [])


def test_a_path_lies_in_those_above_it() -> None:
    assert ancestors("/a/b/c") == ["/a", "/a/b"]
    assert ancestors("/a") == []


@given(st.text(max_size=40))
def test_whatever_is_taken_is_taken_the_same_way_again(text: str) -> None:
    for canonical in (canonical_hostname, canonical_path):
        try:
            once = canonical(text)
        except ValueError:
            continue
        assert canonical(once) == once
        assert once.isascii()
