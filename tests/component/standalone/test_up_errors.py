"""`ias up` that cannot start: one plain sentence, the right exit code, and nothing left behind."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from standalone.home import open_home


def ias_up(*arguments: str) -> tuple[int, str]:
    """Run `ias up` to its end; it must not get as far as starting anything."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IAS_")}
    done = subprocess.run(
        [sys.executable, "-m", "standalone", "up", *arguments], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert "Traceback" not in done.stderr
    assert "starting" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(("option", "other"), [("--gateway-port", "--api-port"), ("--api-port", "--gateway-port")])
def test_a_port_in_use(option: str, other: str, short_tmp: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = ias_up("--home", str(short_tmp / "home"), option, str(port), other, "0")
    assert code == 1
    assert said == f"ias: Port {port} on 127.0.0.1 is in use by another program. Stop it, or choose another port with {option}.\n"
    assert not (short_tmp / "home").exists()


def test_an_address_that_this_machine_does_not_have(short_tmp: Path) -> None:
    code, said = ias_up("--home", str(short_tmp / "home"), "--host", "192.0.2.1", "--gateway-port", "0", "--api-port", "0")
    assert code == 1
    assert said.startswith("ias: Cannot listen on 192.0.2.1")


@pytest.mark.parametrize("place", ["/proc/ias", "/dev/null/ias"])
def test_a_home_that_cannot_be_written(place: str) -> None:
    code, said = ias_up("--home", place, "--gateway-port", "0", "--api-port", "0")
    assert code == 1
    assert said.startswith(f"ias: The home {place} cannot be used: ")
    assert said.count("\n") == 1


def test_a_newer_home(short_tmp: Path) -> None:
    home = short_tmp / "home"
    home.mkdir()
    (home / "home.json").write_text(json.dumps({"version": 2}))
    code, said = ias_up("--home", str(home), "--gateway-port", "0", "--api-port", "0")
    assert code == 3
    assert said == f"ias: The home {home} was written by a newer release (version 2, this one reads 1). Upgrade IAS to use it.\n"
    assert {path.name for path in home.iterdir()} == {"home.json", "lock"}


def test_a_second_start_on_the_same_home(short_tmp: Path) -> None:
    held = open_home(short_tmp / "home")
    with socket.create_server(("127.0.0.1", 0)) as gateway:  # that one has its ports, too: they are not what is told
        code, said = ias_up("--home", str(held.path), "--gateway-port", str(gateway.getsockname()[1]), "--api-port", "0")
    assert code == 1
    assert said.startswith(f"ias: IAS already runs on the home {held.path} (process {os.getpid()}).")
    assert held.runtime.exists(), "the sockets of the one that runs were left alone"
    held.close()


def test_an_engine_that_is_no_url(short_tmp: Path) -> None:
    code, said = ias_up("--home", str(short_tmp / "home"), "--engine", "vllm=localhost")
    assert code == 2
    assert "localhost" in said
    assert not (short_tmp / "home").exists()


def test_a_ready_file_that_cannot_be_written(short_tmp: Path) -> None:
    code, said = ias_up("--home", str(short_tmp / "home"), "--gateway-port", "0", "--api-port", "0", "--ready-file", "/proc/nothing/ready.json")
    assert (code, said.startswith("ias: The ready file /proc/nothing/ready.json cannot be written: ")) == (1, True)
    assert not (short_tmp / "home").exists()
