"""An engine simulator as a process of its own, with a journal of what each request cost."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from standalone.engine_simulator.meters import Entry, read_journal
from standalone.ports import reserve

START_S = 30


@dataclass(frozen=True)
class Simulator:
    """A running engine."""

    url: str
    journal: Path
    pid: int

    def entries(self) -> dict[str, Entry]:
        """What each request that has ended cost, by the gateway's request id."""
        return {entry.request_id: entry for entry in read_journal(self.journal)}

    def running(self) -> int:
        """Requests that the engine works on now."""
        return self._sum("vllm:num_requests_running")

    def generated(self) -> int:
        """Tokens generated since its start, complete or not."""
        return self._sum("vllm:generation_tokens_total")

    def prompted(self) -> int:
        """Tokens of all prompts since its start."""
        return self._sum("vllm:prompt_tokens_total")

    def _sum(self, name: str) -> int:
        lines = httpx2.get(f"{self.url}/metrics", timeout=30).text.splitlines()
        return round(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{")))


@contextlib.contextmanager
def running_simulator(folder: Path, *arguments: str) -> Iterator[Simulator]:
    """Start one on any free port; `folder` takes its journal and log."""
    port = reserve("127.0.0.1")
    journal, log = folder / "journal", folder / "engine.log"
    command = [sys.executable, "-m", "standalone.engine_simulator", "--listen", str(port), "--journal", str(journal), *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        _wait(port.url, process, log)
        yield Simulator(port.url, journal, process.pid)
    finally:
        process.terminate()
        process.wait(10)
        port.holder.close()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/metrics").status_code == 200:
                return
        assert process.poll() is None, f"the engine simulator ended\n{log.read_text()}"
        assert time.monotonic() < end, f"the engine simulator did not start\n{log.read_text()}"
        time.sleep(0.02)
