"""The values of the chart: described, told in its README, and refused where they could not work."""

import copy
import re
import tomllib
from typing import Any

import helm_python
import pytest
import yaml
from pydantic import SecretStr

from ias.settings import PREFIX
from tests.support.chart import CHART, golden_values, manifests_of, pods, render
from tools import chart_doc, settings_doc

DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


def changed(path: str, value: object, name: str = "minimal") -> dict[str, Any]:
    values = copy.deepcopy(golden_values(name))
    *folders, last = path.split(".")
    here = values
    for folder in folders:
        here = here.setdefault(folder, {})
    here[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("image.repository", "", "/image/repository"),
        ("image.digest", "sha256:short", "/image/digest"),
        ("publicUrl", "ias.example.com", "/publicUrl"),
        ("publicUrl", "https://ias.example.com/path", "/publicUrl"),
        ("gateway.url", "", "/gateway/url"),
        ("gateway.metering", "both", "/gateway/metering"),
        ("database.existingSecret", "", "/database/existingSecret"),
        ("database.password", "secret", "additional properties 'password'"),
        ("valkey.existingSecret", "Not_A_Name", "/valkey/existingSecret"),
        ("apiKeys.signingKeyCurrent", "", "/apiKeys/signingKeyCurrent"),
        ("kafka.bootstrap", "", "/kafka/bootstrap"),
        ("kafka.securityProtocol", "SASL_SSL", "/kafka/sasl/"),
        ("kafka.tls.clientCertificate", True, "/kafka/tls/existingSecret"),
        ("mail.username", "ias", "/mail/existingSecret"),
        ("security.runAsUser", 0, "/security/runAsUser"),
        ("extproc.replicas", 0, "/extproc/replicas"),
        ("extproc.autoscaling", {"enabled": True}, "/extproc/autoscaling"),
        ("extproc.spool.size", "10Gi", "additional properties 'size'"),
        ("extauth.colour", {}, "/extauth/colour"),
        ("extauth.settings", {"STORE_TIMEOUT_MS": 5}, "/extauth/settings"),
        ("extauth.settings", {"IAS_PEPPERS": "{}"}, "/extauth/settings"),
        ("api.extraEnv", [{"name": "IAS_TOKEN_SECRET", "value": "x"}], "/api/extraEnv/0"),
        ("networkPolicy.engines.pods", [{"podLabels": {"app": "vllm"}}], "/networkPolicy/engines/pods/0"),
        ("networkPolicy.engines.ports", [], "/networkPolicy/engines/ports"),
        ("networkPolicy.gateway.blocks", [{"cidr": "anywhere"}], "/networkPolicy/gateway/blocks/0/cidr"),
        ("typo", 1, "additional properties 'typo'"),
        # What the schema cannot say:
        ("extauth.autoscaling.maxReplicas", 2, "minReplicas is larger than maxReplicas"),
        ("networkPolicy.postgresql.pods", [], "networkPolicy.postgresql: say where it is"),
        ("networkPolicy.dns.pods", [], "networkPolicy.dns: say where it is"),
        ("mail.host", "smtp.example.com", "networkPolicy.mail: say where it is"),
        ("extauth.extraEnv", [{"name": "IAS_LISTEN", "value": "0.0.0.0:1"}], "IAS_LISTEN is set by this chart already"),
    ],
)
def test_what_cannot_work_is_refused_with_the_place(path: str, value: object, complaint: str) -> None:
    with pytest.raises(helm_python.HelmError, match=re.escape(complaint)):
        render(changed(path, value))


def test_nothing_is_installed_without_being_told_where_things_are() -> None:
    with pytest.raises(helm_python.HelmError) as refused:
        render({})
    for place in ("/image/repository", "/publicUrl", "/gateway/url", "/database/existingSecret", "/valkey/existingSecret", "/kafka/bootstrap"):
        assert place in str(refused.value)


def test_the_secrets_that_values_refuse_are_those_of_the_services() -> None:
    fields = {(name, str(field.annotation)) for cls in settings_doc.settings_classes() for name, field in cls.model_fields.items()}
    secret = {f"{PREFIX}{name.upper()}" for name, annotation in fields if SecretStr.__name__ in annotation}
    assert set(chart_doc.schema()["$defs"]["secretSetting"]["enum"]) == secret


def test_a_setting_of_the_installation_replaces_the_charts() -> None:
    values = changed("extauth.settings", {"IAS_MAX_BODY_BYTES": 12000000, "IAS_TRANSPORT": "grpcio"})
    [container] = pods(manifests_of(render(values)))["extauth"]["spec"]["containers"]
    found = {one["name"]: one["value"] for one in container["env"]}
    assert (found["IAS_MAX_BODY_BYTES"], found["IAS_TRANSPORT"]) == ("12000000", "grpcio")


def test_without_network_policies_there_is_none() -> None:
    assert not [one for one in manifests_of(render(changed("networkPolicy.enabled", False))) if one["kind"] == "NetworkPolicy"]


def test_a_party_without_addresses_is_nobody_and_not_everybody() -> None:
    """An empty list of peers would mean all of the world."""
    policies = [one for one in manifests_of(render(golden_values("minimal"))) if one["kind"] == "NetworkPolicy"]
    rules = [rule for one in policies for section in ("ingress", "egress") for rule in one["spec"].get(section, ())]
    assert rules
    assert [rule for rule in rules if not (rule.get("from") or rule.get("to"))] == []


@pytest.mark.parametrize(("path", "one"), list(chart_doc.described(chart_doc.schema())), ids=lambda part: part if isinstance(part, str) else "")
def test_every_value_says_what_it_is(path: str, one: dict[str, Any]) -> None:
    assert re.match(r"^[A-Z`].*\.$", one.get("description", "")), path


def test_every_default_is_in_the_schema_and_every_value_has_a_default() -> None:
    """But for the profile: its defaults are the control plane's."""
    named = {path for path, _ in chart_doc.described(chart_doc.schema()) if not path.startswith("gateway.profile.")} - {"global"}
    missing = [path for path in named if chart_doc.default_of(DEFAULTS, path) is None]
    assert missing == []


def test_the_image_of_the_readme_can_be_installed() -> None:
    [extras] = re.findall(r"pip install 'ias-gateway\[([\w,]+)\]'", chart_doc.PAGE.read_text())
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == project["version"]


def test_the_readme_tells_all_of_it() -> None:
    assert chart_doc.PAGE.read_text() == chart_doc.render(), "run: make docs"
