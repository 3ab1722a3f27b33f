"""The system calls of the spool, each all or an OSError."""

import errno
import fcntl
import os
from pathlib import Path

from extproc.ports import SpoolBusy, SpoolUnavailable


def lock(directory: Path) -> int:
    """Make the directory if it is missing and take it over; its lock goes with this process. Raises SpoolBusy or SpoolUnavailable."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unavailable(directory, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise SpoolBusy(f"the spool {directory} belongs to another running extproc; give each process its own IAS_SPOOL_DIR") from None
    return fd


def write(fd: int, data: bytes) -> None:
    """Write at once; a short write means a full disk."""
    if os.write(fd, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sync_directory(directory: Path) -> None:
    """Make renames in it survive a power failure."""
    sync_and_close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))


def sync_and_close(fd: int) -> None:
    """Make what was written survive a power failure."""
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def unavailable(directory: Path, error: OSError) -> SpoolUnavailable:
    """Say it in words."""
    return SpoolUnavailable(f"the spool {directory} cannot be written: {error.strerror or error}")
