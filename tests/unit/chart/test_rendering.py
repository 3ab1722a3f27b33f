"""What Helm makes of the chart: the same as yesterday, free of what no pod may have, and with secrets by reference only."""

import re
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml

from controlplane import api
from tests.support.chart import CHART, GOLDEN, Manifest, golden_values, manifests, pods, rendered
from tests.support.golden import assert_golden

ALWAYS = {"api", "worker", "extauth", "extproc", "migrate"}
TEMPLATES = sorted(str(path.relative_to(CHART)) for path in (CHART / "templates").rglob("*.yaml"))
RENDERS_NOTHING = {"templates/checks.yaml"}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    texts = (f"# {path}\n{text.strip()}\n" for path, text in sorted(rendered(name).items()) if text.strip())
    assert_golden(f"chart/{name}.yaml", "---\n".join(texts))


def test_every_template_is_rendered_for_some_of_the_golden_values() -> None:
    found = {path for name in GOLDEN for path, text in rendered(name).items() if text.strip()}
    assert set(TEMPLATES) - found == RENDERS_NOTHING


@pytest.mark.parametrize("name", GOLDEN)
def test_helm_finds_nothing_to_say(name: str) -> None:
    report = helm_python.lint(CHART, golden_values(name), strict=True, namespace="inference", kube_version="v1.30.0")
    assert [one for one in report["messages"] if one["severity"] > 1] == []
    assert report["errors"] == []


@pytest.mark.parametrize("name", GOLDEN)
def test_objects_have_names_and_a_namespace_of_their_own(name: str) -> None:
    ids = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in manifests(name)]
    assert len(ids) == len(set(ids))
    assert [one for one in ids if not one[1] and not one[0].startswith("Cluster")] == []
    assert [one for one in ids if len(one[2]) > 63] == []


@pytest.mark.parametrize("name", GOLDEN)
def test_selectors_find_the_pods_that_they_are_for(name: str) -> None:
    labels = {component: template["metadata"]["labels"] for component, template in pods(manifests(name)).items()}
    for one in manifests(name):
        if one["kind"] not in {"Service", "PodDisruptionBudget", "Deployment", "StatefulSet"}:
            continue
        selector = one["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        component = one["metadata"]["labels"]["app.kubernetes.io/component"]
        found = {name for name, own in labels.items() if selector.items() <= own.items()}
        assert found == ({component} if component != "metrics" else set(labels)), one["metadata"]["name"]


# --- pods: https://kubernetes.io/docs/concepts/security/pod-security-standards/, "restricted", and more ---


def containers(name: str) -> Iterator[tuple[Manifest, dict[str, Any]]]:
    for template in pods(manifests(name)).values():
        for container in template["spec"]["containers"]:
            yield template["spec"], container


@pytest.mark.parametrize("name", GOLDEN)
def test_pods_may_nothing(name: str) -> None:
    assert set(pods(manifests(name))) >= ALWAYS
    for pod, container in containers(name):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["automountServiceAccountToken"] is (container["name"] == "api"), "the API alone has rights in the cluster"
        assert pod["enableServiceLinks"] is False, "IAS_API_PORT and the like would look like settings"
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert {kind for volume in pod["volumes"] for kind in set(volume) - {"name"}} <= {"emptyDir", "projected", "secret", "configMap"}
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", GOLDEN)
def test_secrets_are_references_and_each_pod_has_only_its_own(name: str) -> None:
    assert not [one for one in manifests(name) if one["kind"] == "Secret"]
    mounted = {container["name"]: {one["name"] for one in container["env"] if one["name"].endswith("_FILE")} for _, container in containers(name)}
    files = {component: {one.removeprefix("IAS_").removesuffix("_FILE") for one in names} for component, names in mounted.items()}
    assert {component for component, names in files.items() if "PEPPERS" in names} == {"api", "extauth"}
    assert {component for component, names in files.items() if "SIGNING_KEYS" in names} == {"extauth", "extproc"}
    assert {component for component, names in files.items() if "TOKEN_SECRET" in names} == {"api"}
    assert {component for component, names in files.items() if "CONTROL_PLANE_PASSWORD" in names} == {"migrate"}
    assert {component for component, names in files.items() if "DATABASE_URL" in names} == set(mounted) - {"extproc", "ratelimit"}


@pytest.mark.parametrize("name", GOLDEN)
def test_nobody_but_the_migration_sees_the_database_as_its_owner(name: str) -> None:
    keys = golden_values(name)["database"].get("keys") or yaml.safe_load((CHART / "values.yaml").read_text())["database"]["keys"]
    seen = {}
    for pod, container in containers(name):
        sources = [one["secret"] for volume in pod["volumes"] for one in volume.get("projected", {}).get("sources", ())]
        seen[container["name"]] = {item["key"] for one in sources for item in one["items"] if item["path"] == "database_url"}
    assert seen["migrate"] == {keys["ownerUrl"]}
    assert seen["extauth"] == {keys["dataPlaneUrl"]}
    assert seen["api"] == seen["worker"] == seen.get("registry", seen["api"]) == {keys["controlPlaneUrl"]}
    assert seen["extproc"] == seen.get("ratelimit", set()) == set()


# --- the life of a pod, and the hook ---


@pytest.mark.parametrize("name", GOLDEN)
def test_probes_ask_what_is_answered(name: str) -> None:
    """Paths of the API, or the metrics; gRPC's health on the service's own port, a bare connection where that has TLS."""
    answered = {str(getattr(route, "path", "")) for route in api._health.routes} | {"/metrics"}
    for pod, container in containers(name):
        ports = {one["name"]: one["containerPort"] for one in container.get("ports", ())}
        probes = {kind: container[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe") if kind in container}
        assert ("livenessProbe" in probes) is (container["name"] != "migrate")
        encrypted = "tls" in {volume["name"] for volume in pod["volumes"]}
        for probe in probes.values():
            if "httpGet" in probe:
                assert probe["httpGet"]["path"] in answered
                assert probe["httpGet"]["port"] in ports
            else:
                assert probe.get("tcpSocket" if encrypted else "grpc") == {"port": "grpc" if encrypted else ports["grpc"]}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_pod_has_more_time_to_end_than_its_service_takes(name: str) -> None:
    for pod, container in containers(name):
        drain = next((int(one["value"]) for one in container["env"] if one["name"] == "IAS_DRAIN_S"), 0)
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if container["name"] in {"extauth", "extproc", "ratelimit"}:
            assert pause
            assert pod["terminationGracePeriodSeconds"] >= pause + drain + 10


def test_a_spool_outlives_its_pod_and_leaves_room_on_its_volume() -> None:
    for name in GOLDEN:
        [stateful] = [one for one in manifests(name) if one["kind"] == "StatefulSet"]
        assert stateful["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
        [claim] = stateful["spec"]["volumeClaimTemplates"]
        size = int(re.fullmatch(r"(\d+)Gi", claim["spec"]["resources"]["requests"]["storage"])[1]) << 30  # type: ignore[index]
        [container] = stateful["spec"]["template"]["spec"]["containers"]
        [limit] = [int(one["value"]) for one in container["env"] if one["name"] == "IAS_SPOOL_TOTAL_BYTES"]
        assert size * 7 // 10 < limit <= size * 8 // 10


@pytest.mark.parametrize("name", GOLDEN)
def test_what_the_migration_needs_is_there_before_it(name: str) -> None:
    hooks = {one["kind"]: one["metadata"]["annotations"] for one in manifests(name) if "helm.sh/hook" in one["metadata"].get("annotations", {})}
    assert set(hooks) == {"Job", "ServiceAccount", "NetworkPolicy"}
    assert {one["helm.sh/hook"] for one in hooks.values()} == {"pre-install,pre-upgrade"}
    assert {kind for kind, one in hooks.items() if int(one["helm.sh/hook-weight"]) < int(hooks["Job"]["helm.sh/hook-weight"])} == {
        "ServiceAccount",
        "NetworkPolicy",
    }


def test_a_single_pod_has_no_budget_that_would_hold_a_drain_for_ever() -> None:
    budgets = {one["metadata"]["labels"]["app.kubernetes.io/component"] for one in manifests("full") if one["kind"] == "PodDisruptionBudget"}
    assert budgets == ALWAYS - {"migrate"} | {"ratelimit"}


def test_a_scaled_deployment_leaves_its_number_to_the_scaler() -> None:
    replicas = {one["metadata"]["name"]: one["spec"].get("replicas") for one in manifests("minimal") if one["kind"] == "Deployment"}
    assert replicas == {"ias-api": 2, "ias-worker": 2, "ias-registry": 2, "ias-extauth": None}
