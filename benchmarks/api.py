"""The control plane's API as processes of its own, for benchmarks: as it runs, on a durable PostgreSQL."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2

START_S = 30


class Replica(NamedTuple):
    """One process of the API."""

    address: str
    pid: int


_SETTINGS = {
    "IAS_PEPPERS": json.dumps({1: "11" * 32}),
    "IAS_TOKEN_SECRET": "s" * 32,
    "IAS_API_LISTEN": "127.0.0.1:0",
    "IAS_METRICS_ADDRESS": "127.0.0.1:0",
    "IAS_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
}


@contextmanager
def replicas(database_url: str, count: int, folder: Path, checkout: Path | None = None) -> Iterator[Sequence[Replica]]:
    """Run so many API processes on one database, of the code in a checkout, if it is given."""
    environment = {**os.environ, **_SETTINGS, "IAS_DATABASE_URL": database_url}
    processes, logs = [], [folder / f"api-{number}.log" for number in range(count)]
    try:
        for log in logs:
            with log.open("w") as output:
                command = [sys.executable, "-m", "controlplane", "api"]
                processes.append(subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=checkout))
        yield [Replica(_address(log), process.pid) for log, process in zip(logs, processes, strict=True)]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=20)


def first_admin(database_url: str) -> dict[str, str]:
    """Make the first System Admin and return user id and password."""
    environment = {**os.environ, "IAS_DATABASE_URL": database_url}
    made = subprocess.run([sys.executable, "-m", "controlplane", "bootstrap-admin"], env=environment, capture_output=True, text=True, check=True)
    admin: dict[str, str] = json.loads(made.stdout)
    return admin


def sign_in(address: str, person: dict[str, str]) -> str:
    """Return a token for a user id and password."""
    token: str = httpx2.post(f"{address}/api/login", json=person, timeout=30).json()["token"]
    return token


def _address(log: Path) -> str:
    end = time.monotonic() + START_S
    while not (found := re.search(r'"port": (\d+)', log.read_text())):
        if time.monotonic() > end:
            raise SystemExit(f"the API does not start:\n{log.read_text()}")
        time.sleep(0.05)
    return f"http://127.0.0.1:{found[1]}"
