"""What can be done to a running service. A fault strikes, and returns when it has struck and what it struck is there again."""

import os
import signal
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


def strike_all(faults: Sequence[Fault], seconds: float) -> list[Struck]:
    """Strike one after the other, evenly spread over a time.

    On the main thread: what is started again here would die with the thread that started it (prctl(2)); so the load runs on another.
    """
    began, pause = time.monotonic(), seconds / (len(faults) + 1)
    struck = []
    for number, fault in enumerate(faults, start=1):
        # Never two at the same moment, however long one took: what is asked is whether each is survived.
        time.sleep(max(pause / 2, began + number * pause - time.monotonic()))
        at = time.monotonic() - began
        print(f"  {at:5.1f} s  {fault.name}", flush=True)
        fault.strike()
        struck.append(Struck(fault.name, at, time.monotonic() - began))
    return struck
