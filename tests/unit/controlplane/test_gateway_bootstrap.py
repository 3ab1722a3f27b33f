"""Envoy's static configuration and its own replies, as rendered."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from controlplane.gateway.bootstrap import BootstrapParams, render_bootstrap
from controlplane.gateway.local_replies import local_reply_mappers
from ias import errors
from tests.support.golden import assert_golden

PARAMS: dict[str, Any] = {
    "xds_directory": Path("/run/ias/xds"),
    "extauth": ("unix:/run/ias/extauth.sock",),
    "extproc": ("unix:/run/ias/extproc.sock",),
}
STATUSES_OF_ENVOY = {400, 401, 403, 404, 408, 413, 426, 431, 501, 502, 503, 504}


def test_the_bootstrap_is_as_on_file() -> None:
    assert_golden("gateway/bootstrap.yaml", render_bootstrap(BootstrapParams(**PARAMS)))


def test_services_may_have_several_endpoints_of_any_kind() -> None:
    endpoints = ("unix:/a.sock", "127.0.0.1:1", "[::1]:2")
    rendered = render_bootstrap(BootstrapParams(**{**PARAMS, "extauth": endpoints}))
    assert '{"pipe": {"path": "/a.sock"}}' in rendered
    assert '{"address": "::1", "port_value": 2}' in rendered
    assert '"STRICT_DNS"' not in rendered
    assert '"STRICT_DNS"' in render_bootstrap(BootstrapParams(**{**PARAMS, "extauth": ("extauth.ias.svc:9001",)}))


def test_a_shadow_gateway_only_watches() -> None:
    rendered = render_bootstrap(BootstrapParams(**PARAMS, metering="shadow"))
    assert "observability_mode: true" in rendered
    assert "failure_mode_allow: true" in rendered
    assert "allow_mode_override: false" in rendered
    assert '"response_body_mode": "STREAMED"' in rendered
    authorization = rendered[rendered.index("ext_authz.v3.ExtAuthz") : rendered.index("ext_proc.v3.ExternalProcessor")]
    assert "failure_mode_allow: false" in authorization


def test_an_access_log_is_written_only_when_asked_for_and_holds_no_credential() -> None:
    assert "FileAccessLog" not in render_bootstrap(BootstrapParams(**PARAMS))
    rendered = render_bootstrap(BootstrapParams(**PARAMS, access_log_path="/dev/stdout"))
    [line] = [line for line in rendered.splitlines() if "FileAccessLog" in line]
    assert "authorization" not in line.lower()
    assert "api-key" not in line.lower()


def test_values_cannot_become_structure() -> None:
    rendered = render_bootstrap(BootstrapParams(**PARAMS, gateway_address='x"}, y: {"'))
    assert '"x\\"}, y: {\\""' in rendered


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"xds_directory": Path("relative")}, "absolute"),
        ({"stream_idle_timeout_ms": 60_000}, "longer than request_timeout_ms"),
        ({"extauth": ()}, "at least one endpoint"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        BootstrapParams(**{**PARAMS, **wrong})


def test_every_reply_of_envoy_has_a_body_and_a_code_of_the_catalogue() -> None:
    mappers = local_reply_mappers(1000)
    codes = {(error.status, error.code) for error in _catalogue()}
    for mapper in mappers:
        if body := mapper.get("body_format_override"):
            if isinstance(body["json_format"]["error"], str):
                continue  # KServe's has no code
            anthropic = body["json_format"].get("type") == "error"
            assert body["json_format"]["error"].keys() == {"message", "type", "code"} | (set() if anthropic else {"param"})
            assert (mapper["status_code"], body["json_format"]["error"]["code"]) in codes
    mapped = {int(value) for value in re.findall(r'"op": "EQ", "value": {"default_value": (\d+)', json.dumps(mappers))}
    assert mapped >= STATUSES_OF_ENVOY


def test_every_reply_comes_in_all_three_shapes_openais_last() -> None:
    bodies = [mapper["body_format_override"]["json_format"] for mapper in local_reply_mappers(1000) if "body_format_override" in mapper]
    for anthropic, kserve, openai in zip(bodies[::3], bodies[1::3], bodies[2::3], strict=True):
        assert (anthropic["type"], anthropic["error"]["code"]) == ("error", openai["error"]["code"])
        assert kserve == {"error": openai["error"]["message"]}


def test_bodies_print_nothing_of_envoy_but_the_request_itself() -> None:
    text = json.dumps([mapper.get("body_format_override") for mapper in local_reply_mappers(1000)])
    assert set(re.findall(r"%[^%]*%", text)) == {"%REQ(:METHOD)%", "%PATH(NQ:PATH):256%", "%REQ(x-ias-model)%"}


def _catalogue() -> list[errors.ApiError]:
    return [
        errors.malformed_request(),
        errors.invalid_api_key(),
        errors.upgrade_refused(),
        errors.unknown_url("", ""),
        errors.model_not_found(""),
        errors.request_timeout(),
        errors.rate_limited("requests", "", 1_000),
        errors.request_too_large(0),
        errors.http_version_too_old(),
        errors.headers_too_large(),
        errors.internal_error(),
        errors.service_unavailable(""),
        errors.upstream_timeout(),
    ]
