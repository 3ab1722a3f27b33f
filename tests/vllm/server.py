"""A real vLLM on the CPU, as a process."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from standalone.ports import reserve

MODEL = "tiny"
START_S = 300
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Counters:
    """What the engine says it has processed since its start."""

    prompt: int
    generated: int
    running: int

    def __sub__(self, before: "Counters") -> "Counters":
        return Counters(self.prompt - before.prompt, self.generated - before.generated, self.running)


@dataclass(frozen=True)
class Vllm:
    """A running server."""

    url: str

    def counters(self) -> Counters:
        lines = httpx2.get(f"{self.url}/metrics", timeout=60).text.splitlines()

        def value(name: str) -> int:
            return round(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{")))

        running = value("vllm:num_requests_running") + value("vllm:num_requests_waiting")
        return Counters(value("vllm:prompt_tokens_total"), value("vllm:generation_tokens_total"), running)

    def idle(self) -> Counters:
        """Wait until nothing runs, and its counters stand still."""
        end, last = time.monotonic() + 60, None
        while (now := self.counters()) != last or now.running:
            assert time.monotonic() < end, f"the engine still works: {now}"
            last = now
            time.sleep(0.3)
        return now


@contextlib.contextmanager
def running_vllm(environment: Path, folder: Path, size: str, *arguments: str) -> Iterator[Vllm]:
    """Start a server from an environment that has vLLM; `folder` takes its model, of a size of `tiny_model`, and its log."""
    python = environment / "bin" / "python"
    model, log = folder / MODEL, folder / "vllm.log"
    if not model.exists():
        subprocess.run([python, _HERE / "tiny_model.py", model, size], check=True)
    port = reserve("127.0.0.1")
    settings = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("IAS_", "VIRTUAL_ENV", "PYTHON"))}
    command = [python, "-m", "vllm.entrypoints.cli.main", "serve", model, "--served-model-name", MODEL, "--port", str(port.number)]
    command += ["--max-model-len", "1024", "--enforce-eager", "--max-num-seqs", "64", *arguments]
    path = f"{environment / 'bin'}:{inherited.get('PATH', '')}"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**inherited, **settings, "PATH": path}, start_new_session=True)
    try:
        _wait(port.url, process, log)
        yield Vllm(port.url)
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its engine is a process of its own
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        port.holder.close()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/health", timeout=5).status_code == 200:
                return
        assert process.poll() is None, f"vLLM ended\n{log.read_text()[-4000:]}"
        assert time.monotonic() < end, f"vLLM did not start in {START_S} s\n{log.read_text()[-4000:]}"
        time.sleep(0.5)
