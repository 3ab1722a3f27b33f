"""What can be done to a running service. A fault strikes, and returns when it has struck and what it struck is there again."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.stack import Stack


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong."""

    name: str
    strike: Callable[[], object]


@dataclass(frozen=True)
class Struck:
    """A fault that has happened; times in seconds after the beginning."""

    name: str
    at_s: float
    over_s: float


def kill(stack: Stack, process: str, number: signal.Signals = signal.SIGKILL) -> Fault:
    """End a process; the supervisor starts it again."""

    def strike() -> None:
        stack.wait_restarted(process, stack.kill(process, number), deadline_s=60)

    return Fault(f"{'kill -9' if number == signal.SIGKILL else 'restart'} {process}", strike)


def freeze(stack: Stack, process: str, seconds: float) -> Fault:
    """Stop a process as a hung machine would, and let it go on: its connections stay, and nothing is answered."""

    def strike() -> None:
        pid = stack.pids()[process]
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    return Fault(f"freeze {process} for {seconds:g} s", strike)


class Schedule:
    """Strikes faults one after the other, evenly spread over a time, on a thread of its own."""

    def __init__(self, faults: Sequence[Fault], seconds: float) -> None:
        self._faults = faults
        self._seconds = seconds
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failure: BaseException | None = None
        self.struck: list[Struck] = []

    def __enter__(self) -> "Schedule":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(self._seconds + 120)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        began = time.monotonic()
        pause = self._seconds / (len(self._faults) + 1)
        try:
            for number, fault in enumerate(self._faults, start=1):
                time.sleep(max(0, began + number * pause - time.monotonic()))
                at = time.monotonic() - began
                fault.strike()
                self.struck.append(Struck(fault.name, at, time.monotonic() - began))
                print(f"  {at:5.1f} s  {fault.name}", flush=True)
        except BaseException as failure:
            self._failure = failure
