"""The command line: mistakes are told before anything starts."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from standalone import cli
from standalone.up import Options


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    starts: list[Options] = []
    monkeypatch.setattr(cli, "up", lambda options: starts.append(options) or 0)
    return starts


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, list(arguments))
    return result.exit_code, result.output


def test_defaults(started: list[Options], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAS_HOME", "/somewhere")
    assert run("up")[0] == 0
    assert started == [Options(Path("/somewhere"), "127.0.0.1", 8080, 8085, {}, {}, "inline", None)]


def test_engines_become_canonical(started: list[Options]) -> None:
    assert run("up", "--engine", "vllm=http://10.0.0.5:8000/", "--engine", "b=https://engine.example")[0] == 0
    assert started[0].engines == {"vllm": "http://10.0.0.5:8000", "b": "https://engine.example:443"}


@pytest.mark.parametrize("engine", ["vllm", "=http://x", "a b=http://x", "x=ftp://host", "x=", "x=http://"])
def test_an_engine_that_cannot_be_meant(engine: str, started: list[Options]) -> None:
    code, output = run("up", "--engine", engine)
    assert code == 2
    assert engine.rpartition("=")[2] in output
    assert not started


def test_one_name_for_two_engines(started: list[Options]) -> None:
    code, output = run("up", "--engine", "a=http://x:1", "--engine", "a=http://x:2")
    assert (code, "given twice" in output, started) == (2, True, [])


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none(port: str, started: list[Options]) -> None:
    assert run("up", "--api-port", port)[0] == 2
    assert not started


def test_a_host_name_is_no_address(started: list[Options]) -> None:
    code, output = run("up", "--host", "localhost")
    assert (code, "is not an IP address" in output, started) == (2, True, [])


@pytest.mark.parametrize("command", [(), ("up",), ("spool",), ("spool", "inspect"), ("worker",), ("reconcile",), ("version",)], ids=" ".join)
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    code, output = run(*command, "--help")
    assert code == 0
    assert "Usage: " in output


def test_the_version_is_the_distributions() -> None:
    code, output = run("version")
    assert code == 0
    assert output.strip()[0].isdigit()
    assert run("--version") == (0, output)


@pytest.mark.parametrize("given", [{}, {"IAS_VALKEY_URL_FILE": "/elsewhere"}], ids=["home", "environment"])
def test_reconcile_asks_the_service_of_the_home_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    ran: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr("os.execve", lambda _, arguments, environment: ran.append((arguments, environment)))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "secrets").mkdir()
    for name in ("database_url", "valkey_url"):
        (tmp_path / "secrets" / name).touch()
    assert run("reconcile", "--home", str(tmp_path))[0] == 0
    ((arguments, environment),) = ran
    assert arguments[1:] == ["-m", "controlplane", "reconcile"]
    expected = {f"IAS_{name.upper()}_FILE": str(tmp_path / "secrets" / name) for name in ("database_url", "valkey_url")} | given
    assert {name: environment[name] for name in expected} == expected


def test_reconcile_without_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IAS_DATABASE_URL", "IAS_VALKEY_URL"):
        monkeypatch.delenv(name, raising=False)
    code, output = run("reconcile", "--home", str(tmp_path))
    assert (code, output) == (
        2,
        f"ias: No service was started in {tmp_path}. Name its folder with --home, or set IAS_DATABASE_URL and IAS_VALKEY_URL.\n",
    )


def test_the_gateways_commands_are_a_program_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr("os.execve", lambda _, arguments, environment: ran.append(arguments))
    for given in (["render", "--profile", "p.yaml"], ["--help"], []):
        run("gateway", *given)
        assert ran.pop()[1:] == ["-m", "standalone.gateway_cli", *given]


def test_what_starts_the_service_loads_no_client_of_kubernetes() -> None:
    """`ias up` stays as long as the service does: the client and all that comes with it were 50 MB and a second of each start."""
    program = "import sys, standalone.cli; print([name for name in ('kubernetes', 'fastapi', 'alembic') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_inspecting_what_is_no_spool(tmp_path: Path) -> None:
    assert run("spool", "inspect", str(tmp_path / "nothing"))[0] == 1
