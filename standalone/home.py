"""The home of one service on this machine: its data, secrets, logs and lock, and the short-lived directory of its sockets."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

VERSION = 1
"""Layout of the home. A newer release raises it when an older one could not read what it writes."""

_SOCKET_PATH_BYTES = 107
_LONGEST_SOCKET_NAME = len("/pg/.s.PGSQL.5432")


class HomeError(Exception):
    """The home cannot be used; the message is a sentence for the person at the terminal. `exit_code` says which kind."""

    exit_code = 1


class HomeTooNew(HomeError):
    """The home was written by a newer release."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Home:
    """An opened and locked home. The lock is held as long as the object's descriptor is open: until the process ends."""

    path: Path
    runtime: Path
    lock: int

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    def secret_file(self, name: str, make: Callable[[], str]) -> Path:
        """Return the path of a secret (mode 0600), made at the first call."""
        path = self.secrets / name
        if not path.exists():
            write_private(path, make())
        return path

    def folder(self, name: str) -> Path:
        """Return a private folder of the home, made at the first call."""
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def close(self) -> None:
        """Remove the sockets and give the lock back."""
        shutil.rmtree(self.runtime, ignore_errors=True)
        os.close(self.lock)


def default_path() -> Path:
    """`$IAS_HOME`, else the place for a user's data (XDG base directories)."""
    if home := os.environ.get("IAS_HOME"):
        return Path(home)
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "ias"


def service_addresses(home: Path) -> dict[str, str]:
    """Name, as settings, the files of a home that lead to its PostgreSQL and Valkey, and tell which engines may be asked."""
    names = ("database_url", "valkey_url", "egress_allowed_networks")
    files = {name: home.expanduser().absolute() / "secrets" / name for name in names}
    return {f"IAS_{name.upper()}_FILE": str(path) for name, path in files.items() if path.exists()}


def open_home(path: Path) -> Home:
    """Make or open a home and lock it; raise HomeError and leave what is there as it was."""
    path = path.expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(path)
    except OSError as error:
        raise HomeError(f"The home {path} cannot be used: {error.strerror}. Choose another one with --home.") from error
    try:
        _check_version(path)
        path.chmod(0o700)
        for name in ("logs", "secrets"):
            (path / name).mkdir(mode=0o700, exist_ok=True)
        return Home(path, _runtime_directory(path), lock)
    except OSError as error:
        os.close(lock)
        raise HomeError(f"The home {path} cannot be used: {error.strerror}. Choose another one with --home.") from error
    except HomeError:
        os.close(lock)
        raise


def refuse_a_running_one(path: Path) -> None:
    """Raise HomeError if a service runs on that home; make nothing where there is none."""
    lock = path.expanduser().absolute() / "lock"
    with contextlib.suppress(OSError):  # `open_home` says what is wrong with it
        if lock.exists():
            os.close(_lock(lock.parent))


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600 in one step: it is there completely or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def random_secret() -> str:
    """256 bits in hex: fits every service, and needs no quoting in a URL."""
    return secrets.token_hex(32)


def _lock(path: Path) -> int:
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise HomeError(f"IAS already runs on the home {path} (process {holder}). Stop it first, or choose another home with --home.") from None
    except OSError:
        os.close(descriptor)
        raise
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _check_version(path: Path) -> None:
    marker = path / "home.json"
    if not marker.exists():
        if left := sorted(entry.name for entry in path.iterdir() if entry.name != "lock"):
            (path / "lock").unlink()
            raise HomeError(f"{path} holds other files ({left[0]}) and is not a home of IAS. Choose an empty folder with --home.")
        write_private(marker, json.dumps({"version": VERSION}) + "\n")
        return
    try:
        version = json.loads(marker.read_text())["version"]
    except (ValueError, TypeError, KeyError):
        raise HomeError(f"{marker} is damaged. Restore it from a backup, or choose another home with --home.") from None
    if not isinstance(version, int) or version > VERSION:
        raise HomeTooNew(f"The home {path} was written by a newer release (version {version}, this one reads {VERSION}). Upgrade IAS to use it.")


def _runtime_directory(path: Path) -> Path:
    """Make the directory of the sockets: the path of a Unix socket has at most 107 bytes, so it cannot lie in the home."""
    name = f"ias-{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]}"
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108  # only its own 0700 folder is used, and its owner is checked
        if parent and os.access(parent, os.W_OK) and len(os.fsencode(parent)) + 1 + len(name) + _LONGEST_SOCKET_NAME <= _SOCKET_PATH_BYTES:
            return _own_directory(Path(parent) / name)
    raise HomeError("There is no folder for sockets with a short path. Set XDG_RUNTIME_DIR to one that you own.")


def _own_directory(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise HomeError(f"{path} belongs to somebody else. Remove it, or set XDG_RUNTIME_DIR to a folder that you own.")
    path.chmod(0o700)
    return path
