"""Addresses of engines, and what a probe's answers say."""

import pytest

from controlplane.backends.rules import HEALTH_PATHS, Health, Verdict, canonical_base_url, denied, unhealthy
from controlplane.catalog.engine_list import Told
from ias.gateway_views import ModelType


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


def test_what_an_engine_that_is_not_well_tells_of_its_models_is_not_believed() -> None:
    assert Verdict("", (Told("a"),)).health is Health.HEALTHY
    assert Verdict("", (Told("a"),)).told_in_health == (Told("a"),)
    assert Verdict("status 500", (Told("a"),)).told_in_health is None, "it may leave out some"
    silent = unhealthy("no answer")
    assert (silent.health, silent.reason, silent.models) == (Health.UNHEALTHY, "no answer", None)
    assert denied("egress_denied: x").is_denied


def test_every_type_has_a_health_check() -> None:
    assert set(HEALTH_PATHS) == set(ModelType)
