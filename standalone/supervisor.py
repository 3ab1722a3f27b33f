"""Starts processes in the order of what they need, keeps them running, and stops them in reverse order."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from standalone.process import Program, launch
from standalone.readiness import Probe

_FIRST_BACKOFF_S = 0.1
_LAST_BACKOFF_S = 10.0
_STEADY_S = 30
"""A process that ran this long starts again at once, with the first back-off."""
_START_S = 60


@dataclass(frozen=True, slots=True)
class Service:
    """A process to keep running. `after` names services and steps that must be ready before its first start."""

    label: str
    """What people call it."""
    program: Program
    ready: Probe
    after: tuple[str, ...] = ()
    prepare: Callable[[], Awaitable[None]] | None = None
    """Runs before each start."""
    drain: Callable[[], Awaitable[None]] | None = None
    """Runs before the process is told to stop; must end by itself."""

    @property
    def name(self) -> str:
        return self.program.name


@dataclass(frozen=True, slots=True)
class Step:
    """Something to be done once between starts."""

    name: str
    label: str
    action: Callable[[], Awaitable[None]]
    after: tuple[str, ...] = ()


class StartFailed(Exception):
    """A part did not start; `log` is where it says why."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


class Supervisor:
    """Runs `parts`; they are stopped in reverse order of their place in the sequence."""

    def __init__(self, parts: Sequence[Service | Step], say: Callable[[str], None], pids_changed: Callable[[], None]) -> None:
        self._parts = parts
        self._say = say
        self._pids_changed = pids_changed
        self._ready = {part.name: asyncio.Event() for part in parts}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of what runs now."""
        return {name: process.pid for name, process in self._processes.items() if process.returncode is None}

    async def start(self) -> None:
        """Return when everything is ready; raise StartFailed. In both cases `stop` must be called in the end."""
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(self._start_part(part))
        for part in self._parts:
            if isinstance(part, Service):
                self._keepers[part.name] = asyncio.create_task(self._keep(part))

    async def stop(self, *, drain: bool = True) -> None:
        """Stop everything, in reverse order; what does not stop in its time is killed."""
        self._stopping = True
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        for part in reversed(self._parts):
            if isinstance(part, Service) and part.name in self._processes:
                await self._stop_service(part, drain=drain)

    # --- start ---

    async def _start_part(self, part: Service | Step) -> None:
        for name in part.after:
            await self._ready[name].wait()
        began = time.monotonic()
        if isinstance(part, Step):
            await part.action()
        else:
            await self._start_service(part)
        self._ready[part.name].set()
        self._say(f"  {part.label:<18}{time.monotonic() - began:5.1f} s")

    async def _start_service(self, service: Service) -> None:
        service.program.log.unlink(missing_ok=True)
        process = await self._launch(service)
        deadline = time.monotonic() + _START_S
        while not await service.ready():
            if process.poll() is not None:
                raise StartFailed(f"{service.label} ended while it was starting ({_how(process.returncode)}).", service.program.log)
            if time.monotonic() > deadline:
                raise StartFailed(f"{service.label} did not get ready in {_START_S} s.", service.program.log)
            await asyncio.sleep(0.02)

    async def _launch(self, service: Service) -> "subprocess.Popen[bytes]":
        if service.prepare:
            await service.prepare()
        process = launch(service.program)
        self._processes[service.name] = process
        self._pids_changed()
        return process

    # --- keep ---

    async def _keep(self, service: Service) -> None:
        backoff = _FIRST_BACKOFF_S
        while True:
            process = self._processes[service.name]
            began = time.monotonic()
            await _ended(process)
            if time.monotonic() - began > _STEADY_S:
                backoff = _FIRST_BACKOFF_S
            self._say(f"{service.label} {_how(process.returncode)}; starting it again in {backoff:.1f} s (log: {service.program.log})")
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _LAST_BACKOFF_S)
            try:
                await self._launch(service)
            except Exception as error:  # whatever it is, the next turn tries again and says so
                self._say(f"{service.label} could not be started: {error}")

    # --- stop ---

    async def _stop_service(self, service: Service, *, drain: bool) -> None:
        process = self._processes[service.name]
        if process.poll() is None:
            if drain and service.drain:
                await service.drain()
            process.send_signal(service.program.stop_signal)
            try:
                async with asyncio.timeout(service.program.stop_s):
                    await _ended(process)
            except TimeoutError:
                self._say(f"{service.label} did not stop in {service.program.stop_s:g} s and is killed")
                process.kill()
                await _ended(process)


async def _ended(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the end of a process on the event loop (pidfd_open(2)), without a thread."""
    if process.poll() is not None:
        return
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(process.pid)
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    process.wait()


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
