"""Ends this process when its event loop is stuck.

Envoy waits for ever for a processor through which all bytes of an answer pass; from one that is gone it turns away at once. What was
open is in the spool, and recovered at the next start.
"""

import asyncio
import faulthandler
import os
import sys
import threading

from ias import logs

log = logs.get(__name__)

_CHECK_S = 1.0
EXIT_STATUS = 70


class Watchdog:
    """Counts its own looks, not time: a process that was stopped as a whole (SIGSTOP, a suspended machine) is not stuck."""

    def __init__(self, stuck_after_s: float) -> None:
        self._allowed = max(1, round(stuck_after_s / _CHECK_S))
        self._missed = 0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Watch the running loop from a thread of its own."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._watch, args=(loop,), name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stopped.wait(_CHECK_S):
            if self._missed >= self._allowed:
                log.critical("the event loop is stuck, the process ends", looks=self._missed)
                faulthandler.dump_traceback(file=sys.stderr)
                os._exit(EXIT_STATUS)
            self._missed += 1
            try:
                loop.call_soon_threadsafe(self._alive)
            except RuntimeError:
                return  # the loop is closed

    def _alive(self) -> None:
        self._missed = 0
