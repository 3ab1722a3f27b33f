"""How a child process is started here: own session, own log file, and gone when its parent is gone."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from standalone import user_namespace

_PR_SET_PDEATHSIG = 1
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "IAS_TRANSPORT")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be started, again and again."""

    name: str
    argv: tuple[str, ...]
    log: Path
    """Standard output and error; emptied at each start of the whole service, kept over a restart of the process."""
    env: dict[str, str] = field(default_factory=dict)
    """Added to the little of our own environment that is passed on. Names of secret files may be in here, secrets never."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 10
    """How long the program may take to stop before it is killed."""
    refuses_root: bool = False
    """If we are root, it runs in a user namespace in which it is not (`standalone/user_namespace.py`)."""

    def environment(self) -> dict[str, str]:
        """Return all that the program gets to see of an environment."""
        return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | self.env


def launch(program: Program) -> "subprocess.Popen[bytes]":
    """Start a program. Call it on the main thread: the death signal comes when the *thread* that started a child ends (prctl(2))."""
    with program.log.open("ab") as log:
        return subprocess.Popen(
            _command(program),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=program.environment(),
            start_new_session=True,  # Ctrl-C in a terminal reaches us alone, and we stop the others in order
            preexec_fn=_child_setup(os.getpid()),  # noqa: PLW1509  # it makes system calls only and takes no lock
        )


def run(program: Program, text: str = "") -> None:
    """Run a program to its end; raise `subprocess.CalledProcessError` with the end of its output."""
    done = subprocess.run(
        _command(program),
        input=text,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        env=program.environment(),
        preexec_fn=_child_setup(os.getpid()),
    )
    with program.log.open("a") as log:
        log.write(done.stdout)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, program.argv[0], output=done.stdout[-2000:])


def _child_setup(parent: int) -> Callable[[], None]:
    def setup() -> None:
        # SIGKILL, so that nothing outlives a killed parent; every program here recovers from that.
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return setup


def _command(program: Program) -> tuple[str, ...]:
    if not program.refuses_root or os.geteuid() != 0:
        return program.argv
    return (sys.executable, "-I", "-S", user_namespace.__file__, str(os.getpid()), *program.argv)
