"""What can go wrong with the admission store, each over at once or after a while."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis import Redis

from tests.chaos import faults
from tests.chaos.faults import Fault
from tests.chaos.slow_socket import slowed
from tests.support.stack import Stack

AWAY_S = 6.0


def every(stack: Stack) -> list[Fault]:
    """All of them, those that lose the counters last."""
    return [
        Fault("scripts flushed", lambda: _ask(stack, lambda valkey: valkey.script_flush())),
        Fault(f"50 ms slow for {AWAY_S:g} s", lambda: _slow(stack, 0.05)),
        faults.freeze(stack, "valkey", AWAY_S),
        Fault(f"out of memory for {AWAY_S:g} s", lambda: _for_a_while(stack, _out_of_memory, _enough_memory)),
        Fault(f"read-only for {AWAY_S:g} s", lambda: _for_a_while(stack, _read_only, _writable)),
        Fault(f"freeze valkey for {AWAY_S:g} s, extproc killed", lambda: _both_away(stack)),
        faults.kill(stack, "valkey"),
        Fault("restarted empty", lambda: _restart_empty(stack)),
    ]


def _both_away(stack: Stack) -> None:
    """What extauth lets pass by itself reaches no extproc."""
    frozen = stack.pids()["valkey"]
    os.kill(frozen, signal.SIGSTOP)
    try:
        time.sleep(1)  # the breaker is open, requests pass by the local share
        stack.wait_restarted("extproc", stack.kill("extproc", signal.SIGKILL), deadline_s=60)
        time.sleep(AWAY_S - 1)
    finally:
        os.kill(frozen, signal.SIGCONT)


def _ask(stack: Stack, act: Callable[["Redis[Any]"], object]) -> None:
    with Redis.from_url(stack.ready["valkey_url"]) as valkey:
        act(valkey)


def _for_a_while(stack: Stack, begin: Callable[["Redis[Any]"], object], end: Callable[["Redis[Any]"], object]) -> None:
    _ask(stack, begin)
    try:
        time.sleep(AWAY_S)
    finally:
        _ask(stack, end)


def _out_of_memory(valkey: "Redis[Any]") -> None:
    valkey.config_set("maxmemory", "100kb")


def _enough_memory(valkey: "Redis[Any]") -> None:
    valkey.config_set("maxmemory", "0")


def _read_only(valkey: "Redis[Any]") -> None:
    valkey.replicaof("127.0.0.1", "1")  # nobody is there: it keeps its data and takes no writes


def _writable(valkey: "Redis[Any]") -> None:
    valkey.replicaof("NO", "ONE")


def _slow(stack: Stack, delay_s: float) -> None:
    path = Path(urlsplit(stack.ready["valkey_url"]).path)
    with slowed(path, delay_s):
        _cut_clients(path.with_suffix(".real"), stack)
        time.sleep(AWAY_S)


def _cut_clients(path: Path, stack: Stack) -> None:
    """Clients that are connected find the proxy when they connect again."""
    with Redis(unix_socket_path=str(path), password=urlsplit(stack.ready["valkey_url"]).password) as valkey:
        valkey.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def _restart_empty(stack: Stack) -> None:
    """Its files are moved away first, so that what starts again finds none."""
    data = stack.home / "valkey" / "appendonlydir"
    gone = data.with_name("gone")
    shutil.rmtree(gone, ignore_errors=True)
    data.rename(gone)
    stack.wait_restarted("valkey", stack.kill("valkey", signal.SIGKILL), deadline_s=60)
