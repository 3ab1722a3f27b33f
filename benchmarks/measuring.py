"""What measurements share: CPU of processes, workers in processes of their own, pairs in turn, and the line for machines."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CPU_CLOCK_OF_PROCESS = 2
"""CPUCLOCK_SCHED of the kernel: nanoseconds of all threads of a process, also of those that have ended."""


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that a process has used so far (the clock id is what clock_getcpuclockid(3) makes)."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK_OF_PROCESS)


def rss_kib(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


def descriptors(pid: int) -> int:
    """Open file descriptors of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def family(pids: Mapping[str, int]) -> dict[str, list[int]]:
    """Each process with all processes below it: PostgreSQL works in its children."""

    def below(pid: int) -> list[int]:
        children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
        return [pid, *(one for child in children for one in below(child))]

    return {name: below(pid) for name, pid in pids.items()}


@dataclass
class Cpu:
    """CPU seconds of processes by name, between `start` and `stop`."""

    pids: Mapping[str, Sequence[int]]

    def start(self) -> None:
        self._before = {pid: cpu_s(pid) for pids in self.pids.values() for pid in pids}

    def stop(self) -> dict[str, float]:
        return {name: sum(self._since(pid) for pid in pids) for name, pids in self.pids.items()}

    def _since(self, pid: int) -> float:
        try:
            return cpu_s(pid) - self._before[pid]
        except OSError:  # it ended meanwhile: a short-lived child
            return 0


class Worker:
    """A module of ours in a process of its own, which says one JSON line when it is up, and one for each JSON line it is told."""

    def __init__(self, module: str, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("IAS_")} | environment,
        )
        self.hello: dict[str, Any] = self._hear()

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def stop(self) -> None:
        """End of its input is the end of a worker."""
        self.process.communicate(timeout=10)


@contextlib.contextmanager
def worker(module: str, *arguments: str, **environment: str) -> Iterator[Worker]:
    """Run a worker; it is gone at the end whatever happens."""
    running = Worker(module, *arguments, **environment)
    try:
        yield running
    finally:
        try:
            running.stop()
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()


def in_turn(rounds: int, sides: Mapping[str, Callable[[], dict[str, float]]]) -> dict[str, list[dict[str, float]]]:
    """Measure A B A B …; the results of one round stand at the same place of each list. What disturbs the machine disturbs both."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            found[name].append(measure())
    return found


def median_of(rounds: Sequence[Mapping[str, float]], key: str) -> float:
    return statistics.median(one[key] for one in rounds)


def ratio(over: Sequence[Mapping[str, float]], under: Sequence[Mapping[str, float]], key: str) -> float:
    """Median of the ratios of pairs measured one after the other."""
    return statistics.median(a[key] / b[key] for a, b in zip(over, under, strict=True))


def result(**figures: Any) -> None:
    """Say the one line for machines; floats to three digits."""
    print("RESULT " + json.dumps(figures, default=str), flush=True)
