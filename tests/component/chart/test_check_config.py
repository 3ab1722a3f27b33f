"""Every pod of the chart starts its service with a configuration that the service understands."""

import runpy
import sys
from pathlib import Path

import pytest

from controlplane.kubernetes.desired_state import read_profile_file
from controlplane.registry.settings import RegistrySettings
from controlplane.settings import ApiSettings, MigrateSettings
from controlplane.usage.settings import WorkerSettings
from extauth.settings import ExtauthSettings
from extproc.settings import ExtprocSettings
from ias.settings import PREFIX, Settings
from ratelimit.settings import RatelimitSettings
from tests.support.chart import GOLDEN, manifests, pods
from tests.support.pod_files import SECRET, below, plain_environment, write_files

CLASSES: dict[str, type[Settings]] = {
    "api": ApiSettings,
    "worker": WorkerSettings,
    "registry": RegistrySettings,
    "extauth": ExtauthSettings,
    "extproc": ExtprocSettings,
    "ratelimit": RatelimitSettings,
    "migrate": MigrateSettings,
}
WORKLOADS = [(name, component) for name in GOLDEN for component in pods(manifests(name))]


def test_each_workload_is_one_of_these() -> None:
    assert {component for _, component in WORKLOADS} == set(CLASSES)


@pytest.mark.parametrize(("name", "component"), WORKLOADS)
def test_every_variable_is_a_setting_of_the_service(name: str, component: str) -> None:
    """A service takes no notice of variables that it does not know: a wrong name would go unnoticed."""
    [container] = pods(manifests(name))[component]["spec"]["containers"]
    known = {f"{PREFIX}{field.upper()}" for field in CLASSES[component].model_fields}
    given = {one["name"] for one in container["env"] if one["name"].startswith(PREFIX)}
    assert {one for one in given if one not in known and one.removesuffix("_FILE") not in known} == set()


@pytest.mark.parametrize(("name", "component"), WORKLOADS)
def test_the_service_starts_with_it(
    name: str, component: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command of the pod with `--check-config`, which prints what is in effect, and no secret. In this process: it starts nothing."""
    pod = pods(manifests(name))[component]["spec"]
    write_files(pod, manifests(name), tmp_path)
    [container] = pod["containers"]
    environment = below(tmp_path, plain_environment(container))
    assert [value for value in environment.values() if value.startswith(f"{tmp_path}/") and not Path(value).exists()] == []
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    python, dash_m, module, *arguments = container["command"]
    assert (python, dash_m) == ("python", "-m")
    monkeypatch.setattr(sys, "argv", [module, *arguments, "--check-config"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    printed = dict(line.partition("=")[::2] for line in out.splitlines())
    for variable, value in environment.items():
        if variable.endswith("_FILE") and variable not in printed:
            assert "***" in printed[variable.removesuffix("_FILE")]
        elif variable.startswith(PREFIX) and value.isdigit():
            assert float(printed[variable]) == float(value)
    assert SECRET not in out


@pytest.mark.parametrize("name", GOLDEN)
def test_the_api_reads_the_profile_that_is_mounted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = pods(manifests(name))["api"]["spec"]
    write_files(pod, manifests(name), tmp_path)
    for variable, value in below(tmp_path, plain_environment(pod["containers"][0])).items():
        monkeypatch.setenv(variable, value)
    settings = ApiSettings.load()
    assert settings.configures_gateway
    assert settings.kubernetes_profile is not None
    assert read_profile_file(settings.kubernetes_profile).metering == settings.metering
