"""The spool on a local disk, in the format of `ias.spool_format`; the consumer reads and deletes behind it.

* A record is in the kernel when `open` returns, so `kill -9` loses nothing; `sync` makes it survive a power failure.
* One process owns a directory by a lock on the file `lock`, which its death releases.
* An old segment is never appended to: a torn record at its end stays torn and costs nothing, because it was never answered for.
* A segment is made under another name with its first records in it and then renamed: at every moment the newest
  segment that anyone can see holds everything that is still open, so those before it may be deleted.
* A write that fails half-way is cut off again. While the disk refuses, nothing new is opened and ends wait in memory: as many as
  there are open requests, at most.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from extproc.ports import SpoolBusy, SpoolUnavailable
from extproc.recording import lost
from extproc.recovery import unfinished
from ias import logs
from ias.spool_format import MAGIC, Closed, Opened, Record, encode, segment_path
from ias.usage_event import RequestRecorded

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """When a new segment begins. Consumed segments are deleted whole, so these bound what stays on disk."""

    max_bytes: int = 64 << 20
    max_age_ms: int = 3_600_000


class SpoolFiles:
    """Takes a directory over, ends what a dead owner left open, and appends. Raises SpoolBusy or SpoolUnavailable if it cannot."""

    def __init__(self, directory: Path, clock_ms: Callable[[], int], rules: SegmentRules = SegmentRules()) -> None:
        self._directory, self._clock_ms, self._rules = directory, clock_ms, rules
        self._open: dict[str, Opened] = {}
        self._waiting: dict[str, Closed] = {}
        self._syncing = asyncio.Lock()
        self._fd = -1
        self._size = self._number = self._born_ms = self._empty_size = 0
        self._torn = self._dirty = False
        self._lock = _lock(directory)
        try:
            self.recovered = self._recover()
        except BaseException:
            self.release()
            raise

    def open(self, opened: Opened) -> None:
        self._write_waiting()
        self._append(encode(opened))
        self._open[opened.context.reservation_id] = opened

    def close(self, event: RequestRecorded) -> None:
        self._waiting[event.event_id] = Closed(event)
        try:
            self._write_waiting()
        except SpoolUnavailable as error:
            log.error("an event waits in memory for the spool", event_id=event.event_id, error=str(error))

    def is_open(self, reservation_id: str) -> bool:
        return reservation_id in self._open or reservation_id in self._waiting

    async def sync(self) -> None:
        async with self._syncing:
            self._write_waiting()
            if not self._dirty:
                return
            # A copy: a new segment may close the original meanwhile.
            copy, self._dirty = os.dup(self._fd), False
            try:
                await asyncio.to_thread(_sync_and_close, copy)
            except OSError as error:
                self._dirty = self._torn = True  # the kernel may have dropped what it could not write: go on in a new file
                raise _unavailable(self._directory, error) from error

    def roll_if_old(self) -> None:
        """Start a new segment when this one is old and not empty, so that the consumer can delete it."""
        if self._size > self._empty_size and self._clock_ms() - self._born_ms >= self._rules.max_age_ms:
            self._roll(self._open.values())

    def release(self) -> None:
        """Give the directory up. Closes files and nothing else: what is open becomes lost at the next start."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        os.close(self._lock)

    def _recover(self) -> int:
        try:
            for leftover in self._directory.glob("*.new"):
                leftover.unlink()
            found, self._number = unfinished(self._directory)
        except OSError as error:
            raise _unavailable(self._directory, error) from error
        now_ms = self._clock_ms()
        self._roll([Closed(lost(opened.context, now_ms)) for opened in found.values()])
        return len(found)

    def _write_waiting(self) -> None:
        if self._waiting:
            self._append(b"".join(map(encode, self._waiting.values())))
            for event_id in self._waiting:
                self._open.pop(event_id, None)
            self._waiting.clear()

    def _append(self, data: bytes) -> None:
        if self._torn:
            self._roll(self._open.values())
        elif self._size >= self._rules.max_bytes:
            try:
                self._roll(self._open.values())
            except SpoolUnavailable as error:
                log.error("no new spool segment, the old one grows on", error=str(error))
        try:
            _write(self._fd, data)
        except OSError as error:
            self._cut()
            raise _unavailable(self._directory, error) from error
        self._size += len(data)
        self._dirty = True

    def _cut(self) -> None:
        """Take a half-written record off again; where even that fails, the segment is given up."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self._torn = True

    def _roll(self, records: Iterable[Record]) -> None:
        path = segment_path(self._directory, self._number + 1)
        unseen = path.with_suffix(".new")
        data = b"".join((MAGIC, *map(encode, records)))
        fd = -1
        try:
            if self._fd >= 0 and not self._torn:
                os.fsync(self._fd)
            fd = os.open(unseen, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            _write(fd, data)
            os.fsync(fd)
            unseen.rename(path)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            with contextlib.suppress(OSError):
                unseen.unlink(missing_ok=True)
            raise _unavailable(self._directory, error) from error
        # It can be seen: from here on it is the newest, whatever happens.
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._number, self._size, self._empty_size = fd, self._number + 1, len(data), len(data)
        self._born_ms = self._clock_ms()
        self._torn = self._dirty = False
        try:
            _sync_directory(self._directory)
        except OSError as error:
            raise _unavailable(self._directory, error) from error


def _lock(directory: Path) -> int:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unavailable(directory, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise SpoolBusy(f"the spool {directory} belongs to another running extproc; give each process its own IAS_SPOOL_DIR") from None
    return fd


def _write(fd: int, data: bytes) -> None:
    """One write, all or an OSError."""
    if os.write(fd, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_directory(directory: Path) -> None:
    _sync_and_close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))


def _sync_and_close(fd: int) -> None:
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unavailable(directory: Path, error: OSError) -> SpoolUnavailable:
    return SpoolUnavailable(f"the spool {directory} cannot be written: {error.strerror or error}")
