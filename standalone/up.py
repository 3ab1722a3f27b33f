"""`ias up`: start everything, tell where it is, keep it running, stop it cleanly."""

import asyncio
import contextlib
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.gateway.bootstrap import Metering
from standalone.binaries import BinaryMissing
from standalone.home import Home, HomeError, open_home, refuse_a_running_one, write_private
from standalone.ports import PortTaken, reserve_all
from standalone.postgres import PostgresFailed
from standalone.stack import Stack
from standalone.supervisor import StartFailed, Supervisor

_LOG_TAIL_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Options:
    """What a person decides about a start."""

    home: Path
    host: str
    gateway_port: int
    api_port: int
    engines: Mapping[str, str]
    engine_keys: Mapping[str, Path]
    """Files with the keys that engines demand, by the name of the engine."""
    metering: Metering
    ready_file: Path | None


def up(options: Options) -> int:
    """Run until SIGTERM or SIGINT and return the exit code; what goes wrong before is said in a plain sentence on stderr."""
    try:
        if options.ready_file:
            _clear(options.ready_file)
        refuse_a_running_one(options.home)  # before its ports are found to be in use
        ports = reserve_all(options.host, options.gateway_port, options.api_port)
        home = open_home(options.home)
    except PortTaken as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"The ready file {options.ready_file} cannot be written: {error.strerror}.")
    except HomeError as error:
        return _fail(str(error), error.exit_code)
    try:
        return asyncio.run(_Run(Stack(home, ports, options.engines, options.engine_keys, options.metering), options.ready_file).run())
    except (PostgresFailed, BinaryMissing, OSError) as error:
        return _fail(str(error))
    finally:
        home.close()


def _clear(ready_file: Path) -> None:
    """Remove the file of a former start: whoever waits for ours must not find it. Raises OSError if ours could not be written."""
    if not os.access(ready_file.parent, os.W_OK | os.X_OK) or ready_file.is_dir():
        raise OSError(errno.EACCES, "its folder is not there or not writable")
    ready_file.unlink(missing_ok=True)


class _Run:
    """One life of the service, from the first process to the last."""

    def __init__(self, stack: Stack, ready_file: Path | None) -> None:
        self._stack = stack
        self._ready_file = ready_file
        self._supervisor = Supervisor(stack.parts(), _say, self._write_ready_file)
        self._first_credentials: dict[str, str] = {}
        self._is_ready = False

    async def run(self) -> int:
        signals: asyncio.Queue[None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # under nohup it stays ignored
                loop.add_signal_handler(number, signals.put_nowait, None)
        try:
            failure = await self._until_stopped(signals)
        finally:
            await self._stop(signals)
        return _report(failure, self._stack.home) if failure else 0

    async def _until_stopped(self, signals: "asyncio.Queue[None]") -> BaseException | None:
        """Start, announce, and wait for a signal; return what made the start fail."""
        began = time.monotonic()
        _say(f"starting IAS in {self._stack.home.path}")
        start, stop_wanted = asyncio.create_task(self._supervisor.start()), asyncio.create_task(signals.get())
        await asyncio.wait((start, stop_wanted), return_when=asyncio.FIRST_COMPLETED)
        failure = start.exception() if start.done() else None
        if start.done() and not failure:
            self._announce(time.monotonic() - began)
            await stop_wanted
        stop_wanted.cancel()
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        return failure

    async def _stop(self, signals: "asyncio.Queue[None]") -> None:
        """Stop in order; a second signal means: now."""
        _say("stopping; running requests may end (Ctrl-C again cuts them)" if self._is_ready else "stopping what was started")
        self._is_ready = False
        gently = asyncio.create_task(self._supervisor.stop())
        hurry = asyncio.create_task(signals.get())
        await asyncio.wait((gently, hurry), return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not gently.done():
            gently.cancel()
            await asyncio.gather(gently, return_exceptions=True)
            await self._supervisor.stop(drain=False)
        _say("stopped")

    def _announce(self, seconds: float) -> None:
        path = self._stack.first_password
        if path.exists():
            self._first_credentials = json.loads(path.read_text())
        self._is_ready = True
        self._write_ready_file()
        _say(f"ready after {seconds:.1f} s")
        _say(f"  gateway  {self._stack.ports.gateway.url}/v1")
        _say(f"  API      {self._stack.ports.api.url}/api")
        _say(f"  mail     {self._stack.mail}")
        if not self._first_credentials:
            return
        if sys.stderr.isatty():
            _say(f"  sign in as '{self._first_credentials['admin_username']}', password {self._first_credentials['admin_password']}")
            _say("  The password is shown this once: keep it.")
        elif not self._ready_file:
            _say(f"  Name and password of the first administrator are in {path} (JSON): keep them, and remove that file.")
            return
        path.unlink()

    def _write_ready_file(self) -> None:
        """Write the addresses, and the process ids as they are now."""
        if self._ready_file and self._is_ready:
            content = {**self._stack.addresses(), "pids": self._supervisor.pids, **self._first_credentials}
            write_private(self._ready_file, json.dumps(content, indent=2) + "\n")


def _report(failure: BaseException, home: Home) -> int:
    """Say what did not start, and the end of its log."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if isinstance(failure, StartFailed | PostgresFailed | BinaryMissing):
        if isinstance(failure, StartFailed) and failure.log and failure.log.exists():
            _say(failure.log.read_text(errors="replace")[-_LOG_TAIL_BYTES:].rstrip())
            return _fail(f"{failure} The end of its log is above; all of it: {failure.log}")
        return _fail(str(failure))
    if isinstance(failure, OSError):
        return _fail(f"IAS could not be started in {home.path}: {failure}")
    raise failure


def _fail(sentence: str, code: int = 1) -> int:
    _say(f"ias: {sentence}")
    return code


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more: that is no reason to stop serving
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
