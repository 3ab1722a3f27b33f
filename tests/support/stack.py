"""The whole service as `ias up` starts it, for tests. Nothing survives: not `stop`, not a test run that is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_S = 90
STOP_S = 60


@dataclass
class Stack:
    """A running `ias up`."""

    home: Path
    ready_file: Path
    log: Path
    process: "subprocess.Popen[bytes]"
    ready: dict[str, Any] = field(default_factory=dict)
    """The ready file as it was when the service had started; `pids()` has the process ids of now."""

    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = json.loads(self.ready_file.read_text())["pids"]
        return pids

    def kill(self, name: str, signal_number: signal.Signals = signal.SIGKILL) -> int:
        """Kill one process and return the id it had; the supervisor starts it again."""
        pid = self.pids()[name]
        os.kill(pid, signal_number)
        return pid

    def wait_restarted(self, name: str, old_pid: int, deadline_s: float = 20) -> int:
        """Wait until a killed process runs again under another id."""
        end = time.monotonic() + deadline_s
        while (pid := self.pids().get(name, old_pid)) == old_pid:
            assert time.monotonic() < end, f"{name} did not come back in {deadline_s} s\n{self.output()}"
            time.sleep(0.02)
        return pid

    def stop(self) -> int:
        """Stop as a person would and return the exit code; kill what does not stop in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"`ias up` did not stop in {STOP_S} s\n{self.output()}") from None

    def kill_hard(self) -> None:
        """`kill -9` of `ias up` itself."""
        self.process.kill()
        self.process.wait()

    def output(self) -> str:
        """What `ias up` said, and the end of each log."""
        logs = sorted((self.home / "logs").glob("*.log"))
        tails = [f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs]
        return "\n".join([self.log.read_text(errors="replace"), *tails])


def launch(home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Stack:
    """Start `ias up` on any free ports (unless the arguments name some) and return at once; `environment` is added to ours."""
    home.parent.mkdir(parents=True, exist_ok=True)
    ready_file, log = home.parent / f"{home.name}.ready.json", home.parent / f"{home.name}.out"
    ready_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "standalone", "up", "--home", str(home), "--ready-file", str(ready_file)]
    for option in ("--gateway-port", "--api-port"):
        command += [] if option in arguments else [option, "0"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("IAS_")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**inherited, **(environment or {})},
            preexec_fn=_die_with_us,  # noqa: PLW1509  # one system call, no lock
        )
    return Stack(home, ready_file, log, process)


def start_stack(tmp_home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Stack:
    """Start `ias up` in `<tmp_home>/home` and return when it is ready; fail with its output when it is not in time."""
    stack = launch(tmp_home / "home", *arguments, environment=environment)
    try:
        end = time.monotonic() + START_S
        while not stack.ready_file.exists():
            assert stack.process.poll() is None, f"`ias up` ended with {stack.process.returncode}\n{stack.output()}"
            assert time.monotonic() < end, f"`ias up` was not ready in {START_S} s\n{stack.output()}"
            time.sleep(0.05)
        stack.ready = json.loads(stack.ready_file.read_text())
    except BaseException:
        with contextlib.suppress(AssertionError):
            stack.stop()
        raise
    return stack


@contextmanager
def running_stack(tmp_home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Start a stack and stop it whatever happens."""
    stack = start_stack(tmp_home, *arguments, environment=environment)
    try:
        yield stack
    finally:
        stack.stop()


def _die_with_us() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: stop cleanly when the test run is gone
