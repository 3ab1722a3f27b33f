"""`ias up` as a whole: what it tells, that it keeps running, that nothing outlives it, and that data stays."""

import json
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.stack import Stack, launch, running_stack

SERVICES = {"postgres", "valkey", "engine", "api", "worker", "registry", "extauth", "extproc", "envoy"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[Stack]:
    with running_stack(folder) as stack:
        yield stack


def until(probe: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2).status_code == 200
    except httpx2.TransportError:
        return False


def sign_in(ready: dict[str, str], password: str) -> int:
    return httpx2.post(f"{ready['api_url']}/api/admin/login", json={"username": "admin", "password": password}, timeout=30).status_code


def test_the_ready_file_tells_everything_and_is_private(stack: Stack) -> None:
    assert stat.S_IMODE(stack.ready_file.stat().st_mode) == 0o600
    assert set(stack.ready) == {
        *(
            "gateway_url",
            "api_url",
            "registry_address",
            "envoy_admin_url",
            "database_url",
            "valkey_url",
            "engine_url",
            "metrics_urls",
            "mail_folder",
            "pids",
        ),
        *("admin_username", "admin_password"),
    }
    assert set(stack.ready["pids"]) == SERVICES
    assert set(stack.ready["metrics_urls"]) == {"extauth", "extproc", "worker", "api"}
    for url in (f"{stack.ready['api_url']}/readyz", f"{stack.ready['engine_url']}/health", *stack.ready["metrics_urls"].values()):
        assert answers(url), url
    assert sign_in(stack.ready, stack.ready["admin_password"]) == 200


def test_the_engine_is_registered(stack: Stack) -> None:
    with httpx2.Client(base_url=stack.ready["api_url"]) as client:
        token = client.post("/api/admin/login", json={"username": "admin", "password": stack.ready["admin_password"]}).json()["token"]
        (backend,) = client.get("/api/backend", headers={"authorization": f"Bearer {token}"}).json()["items"]
    assert (backend["name"], backend["baseUrl"], backend["health"]) == ("sim", stack.ready["engine_url"], "healthy")
    assert {"sim-chat", "sim-small"} <= set(backend["models"])


def test_no_secret_is_in_a_command_line_an_environment_or_a_log(stack: Stack) -> None:
    secrets = [path.read_text().strip() for path in (stack.home / "secrets").iterdir()] + [stack.ready["admin_password"]]
    secrets += [value for text in secrets if text.startswith("{") for value in json.loads(text).values()]
    seen = "".join(log.read_text(errors="replace") for log in (stack.home / "logs").glob("*.log")) + stack.log.read_text()
    for pid in (*stack.pids().values(), stack.process.pid):
        seen += Path(f"/proc/{pid}/cmdline").read_bytes().decode() + Path(f"/proc/{pid}/environ").read_bytes().decode()
    assert secrets
    assert not [text[:4] for text in secrets if text in seen]


def test_everything_of_the_home_is_private(stack: Stack) -> None:
    assert stat.S_IMODE(stack.home.stat().st_mode) == 0o700
    files = list((stack.home / "secrets").iterdir())
    assert files
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_whoever_is_killed_comes_back_and_the_service_works_again(name: str, stack: Stack) -> None:
    old = stack.kill(name)
    stack.wait_restarted(name, old)
    until(lambda: answers(f"{stack.ready['api_url']}/readyz") and answers(f"{stack.ready['engine_url']}/health"))
    until(lambda: httpx2.get(f"{stack.ready['gateway_url']}/v1/models", headers={"authorization": "Bearer x"}).status_code == 401)
    assert "starting it again" in stack.log.read_text()


def test_a_second_start_on_the_home_is_refused_and_harmless(stack: Stack) -> None:
    second = launch(stack.home.parent / "other" / "x", "--home", str(stack.home))
    assert second.process.wait(30) == 1
    assert "already runs on the home" in second.log.read_text()
    assert answers(f"{stack.ready['api_url']}/readyz")


def test_two_side_by_side_then_data_stays_over_kill_9_and_a_stop(tmp_path: Path, stack: Stack) -> None:
    with running_stack(tmp_path) as first:
        password = first.ready["admin_password"]
        assert sign_in(first.ready, password) == 200
        assert sign_in(stack.ready, password) == 401
        pids = first.pids()
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        until(lambda: not any(alive(pid) for pid in pids.values()), 10)
    with running_stack(tmp_path) as again:
        assert "admin_password" not in again.ready
        assert sign_in(again.ready, password) == 200
        pids = again.pids()
        assert again.stop() == 0
        assert not any(alive(pid) for pid in pids.values())
    assert answers(f"{stack.ready['api_url']}/readyz"), "the neighbour was not disturbed"
