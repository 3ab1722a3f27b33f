"""`ias gateway`: mistakes are told in one sentence, and what is printed is what would be applied."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState
from controlplane.kubernetes.profile import read_profile
from controlplane.kubernetes.render.rendering import render
from standalone.gateway_cli import gateway

PROFILE = {
    "extauth": {"service": "extauth", "port": 9001},
    "extproc": {"service": "extproc", "port": 9002},
    "listeners": [{"name": "https", "port": 443, "certificate": "models-tls"}],
    "globalLimit": {"requests": 600, "service": {"service": "ratelimit", "port": 9003}},
}
STATE = {"backends": [{"backend_id": "a", "base_url": "http://vllm:8000"}], "routes": [{"model": "m", "targets": [{"backend_id": "a"}]}]}


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "profile.yaml"
    path.write_text(yaml.safe_dump(PROFILE))
    return path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state.json"
    path.write_text(json.dumps(STATE))
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(gateway, list(map(str, arguments)))
    return result.exit_code, result.output


def test_it_prints_what_is_rendered(profile: Path, state: Path) -> None:
    code, printed = run("render", "--profile", profile, "--state", state)
    expected = render(GatewayState((GatewayBackend("a", "http://vllm:8000"),), (GatewayRoute.to_one("m", "a"),)), read_profile(PROFILE))
    assert (code, list(yaml.safe_load_all(printed))) == (0, json.loads(json.dumps(expected)))
    assert "&id" not in printed, "no aliases: people read it"


def test_the_profile_may_come_from_the_environment(profile: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAS_KUBERNETES_PROFILE", str(profile))
    assert run("render", "--state", state)[0] == 0


def test_limits_for_the_rate_limit_service(profile: Path) -> None:
    (rule,) = json.loads(run("rate-limits", "--profile", profile)[1])
    assert (rule["domain"], rule["requests_per_unit"], rule["unit"]) == ("ias/ias/*", 600, "minute")
    profile.write_text(yaml.safe_dump({name: value for name, value in PROFILE.items() if name != "globalLimit"}))
    assert run("rate-limits", "--profile", profile) == (0, "[]\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [("extauth: [", "is not YAML"), ("{}", "extauth"), ("[]", "not valid")],
)
def test_a_profile_that_is_none(profile: Path, state: Path, content: str, reason: str) -> None:
    profile.write_text(content)
    for command in (("render", "--state", state), ("rate-limits",)):
        code, printed = run(*command, "--profile", profile)
        assert code == 1
        assert reason in printed


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "holds no gateway state"), ('{"routes": [{"model": "m", "targets": [{"backend_id": "gone"}]}]}', "backend 'gone', which is not there")],
)
def test_a_state_that_cannot_be(profile: Path, state: Path, content: str, reason: str) -> None:
    state.write_text(content)
    code, printed = run("render", "--profile", profile, "--state", state)
    assert code == 1
    assert reason in printed


def test_without_a_database_it_says_which_setting_is_missing(profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IAS_DATABASE_URL", raising=False)
    code, printed = run("render", "--profile", profile, "--home", tmp_path)
    assert (code, "IAS_DATABASE_URL" in printed) == (1, True)


def test_a_cluster_that_is_not_known_is_told(profile: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    for command in ("diff", "apply"):
        code, printed = run(command, "--profile", profile, "--state", state)
        assert (code, printed.count("\n")) == (2, 1)
        assert f"ias gateway {command}: the Kubernetes API is not known: no IAS_KUBERNETES_KUBECONFIG is given" in printed
