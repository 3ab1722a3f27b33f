"""The spool on a local disk, in the format of `ias.spool_format`; the consumer reads and deletes behind it.

* A record is in the kernel when `write` returns, so `kill -9` loses nothing; `sync` makes it survive a power failure.
* One process owns a directory by a lock on the file `lock`, which its death releases.
* An old segment is never appended to: a torn record at its end stays torn and costs nothing, because it was never answered for.
* A segment is made under another name with its first records in it and then renamed: at every moment the newest
  segment that anyone can see holds everything that is still open, so those before it may be deleted.
* A write that fails half-way is cut off again. While the disk refuses, nothing new is opened and ends wait in memory: as many as
  there are open requests, at most.
* The same holds when the segments on disk have reached their limit, because their consumer is behind: new requests are refused, the
  running ones are recorded to their end.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from extproc import disk
from extproc.ports import SpoolUnavailable
from extproc.recording import closed, lost
from extproc.recovery import read_left
from ias import logs
from ias.spool_format import MAGIC, SUFFIX, Closed, Grown, Opened, Owed, Record, Settled, encode, segment_path
from ias.telemetry import SPOOL_BYTES

log = logs.get(__name__)

_MAX_OWED = 100_000
"""Charges that wait in memory while the store is away. Above it the oldest are given up: the store charges what it held for them."""


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """When a new segment begins, and how much there may be in all. Consumed segments are deleted whole."""

    max_bytes: int = 64 << 20
    max_age_ms: int = 3_600_000
    total_bytes: int = 8 << 30
    sync_bytes: int = 4 << 20
    """So many bytes that are not on disk ask for `sync`."""


class SpoolFiles:
    """Takes a directory over, ends what a dead owner left open, and appends. Raises SpoolBusy or SpoolUnavailable if it cannot."""

    def __init__(self, directory: Path, clock_ms: Callable[[], int], rules: SegmentRules = SegmentRules()) -> None:
        self._directory, self._clock_ms, self._rules = directory, clock_ms, rules
        self._open: dict[str, Opened] = {}
        self._opening: list[Opened] = []
        self._held: dict[str, int] = {}
        self._owed: dict[str, Owed] = {}
        self._waiting: dict[str, Closed] = {}
        self._syncing = asyncio.Lock()
        self._fd = -1
        self._size = self._number = self._born_ms = self._empty_size = self._older_bytes = 0
        self._torn = self._dirty = False
        self._unsynced = 0
        self.sync_wanted = asyncio.Event()
        """So much was written that it should not wait for the next regular `sync`."""
        self._lock = disk.lock(directory)
        try:
            self.recovered = self._recover()
        except BaseException:
            self.release()
            raise

    @property
    def owed(self) -> Mapping[str, Owed]:
        return self._owed

    def open(self, opened: Opened) -> None:
        if self._is_full():
            raise SpoolUnavailable(f"the spool {self._directory} is full: its consumer is behind by {self._older_bytes + self._size} bytes")
        self._opening.append(opened)

    def grow(self, reservation_id: str, held_tokens: int) -> None:
        if reservation_id in self._open:
            self._held[reservation_id] = held_tokens
            self._try_append(Grown(reservation_id, held_tokens))

    def close(self, closed: Closed) -> None:
        self._waiting[closed.event.event_id] = closed

    def write(self) -> None:
        opening, self._opening = self._opening, []
        waiting = self._waiting
        if not opening and not waiting:
            return
        try:
            self._append(b"".join([*map(encode, opening), *map(encode, waiting.values())]))
        except SpoolUnavailable as error:
            if waiting:
                log.error("events wait in memory for the spool", events=len(waiting), error=str(error))
            raise
        self._open |= {opened.context.reservation_id: opened for opened in opening}
        for event_id, record in waiting.items():
            self._open.pop(event_id, None)
            self._held.pop(event_id, None)
            if record.owed is not None:
                self._owed[event_id] = record.owed
        waiting.clear()
        self._give_up_oldest()

    def settled(self, reservation_ids: Sequence[str]) -> None:
        for reservation_id in reservation_ids:
            self._owed.pop(reservation_id, None)
        self._try_append(Settled(list(reservation_ids)))

    def is_open(self, reservation_id: str) -> bool:
        return reservation_id in self._open or reservation_id in self._waiting

    async def sync(self) -> None:
        async with self._syncing:
            self.write()
            if not self._dirty:
                return
            # A copy: a new segment may close the original meanwhile.
            copy, self._dirty, self._unsynced = os.dup(self._fd), False, 0
            self.sync_wanted.clear()
            try:
                await asyncio.to_thread(disk.sync_and_close, copy)
            except OSError as error:
                self._dirty = self._torn = True  # the kernel may have dropped what it could not write: go on in a new file
                raise disk.unavailable(self._directory, error) from error

    def look_after(self) -> None:
        """To be called now and then: start a new segment when this one is old, or everything is full, so that the consumer can delete it."""
        is_old = self._clock_ms() - self._born_ms >= self._rules.max_age_ms
        if self._size > self._empty_size and (is_old or self._is_full()):
            self._roll(self._unfinished())
        self._measure()

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
            left = read_left(self._directory)
        except OSError as error:
            raise disk.unavailable(self._directory, error) from error
        now_ms = self._clock_ms()
        ended = [closed(opened.context, lost(opened.context, now_ms, left.held_for(opened))) for opened in left.opened.values()]
        self._number = left.newest
        self._roll([*left.owed.values(), *ended])
        self._owed = left.owed | {record.event.event_id: record.owed for record in ended if record.owed is not None}
        self._measure()
        return len(ended)

    def _is_full(self) -> bool:
        return self._older_bytes + self._size >= self._rules.total_bytes

    def _unfinished(self) -> list[Record]:
        """What a new segment begins with."""
        grown = [Grown(reservation_id, held) for reservation_id, held in self._held.items()]
        return [*self._open.values(), *grown, *self._owed.values()]

    def _measure(self) -> None:
        """Sum up the segments before this one; the consumer may delete them meanwhile."""
        self._older_bytes = 0
        newest = segment_path(self._directory, self._number)
        for segment in self._directory.glob(f"*{SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                self._older_bytes += segment.stat().st_size if segment != newest else 0
        SPOOL_BYTES.set(self._older_bytes + self._size)

    def _give_up_oldest(self) -> None:
        while len(self._owed) > _MAX_OWED:
            given_up = next(iter(self._owed))
            del self._owed[given_up]
            log.error("too many charges wait for the store, the oldest is given up", reservation_id=given_up)

    def _try_append(self, record: Record) -> None:
        try:
            self._append(encode(record))
        except SpoolUnavailable as error:
            log.error("a record is left out of the spool", error=str(error))

    def _append(self, data: bytes) -> None:
        if self._torn:
            self._roll(self._unfinished())
        elif self._size - self._empty_size >= self._rules.max_bytes:
            try:
                self._roll(self._unfinished())
            except SpoolUnavailable as error:
                log.error("no new spool segment, the old one grows on", error=str(error))
        try:
            disk.write(self._fd, data)
        except OSError as error:
            self._cut()
            raise disk.unavailable(self._directory, error) from error
        self._size += len(data)
        self._unsynced += len(data)
        self._dirty = True
        if self._unsynced >= self._rules.sync_bytes:
            self.sync_wanted.set()

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
            disk.write(fd, data)
            os.fsync(fd)
            unseen.rename(path)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            with contextlib.suppress(OSError):
                unseen.unlink(missing_ok=True)
            raise disk.unavailable(self._directory, error) from error
        # It can be seen: from here on it is the newest, whatever happens.
        if self._fd >= 0:
            os.close(self._fd)
        self._older_bytes += self._size
        self._fd, self._number, self._size, self._empty_size = fd, self._number + 1, len(data), len(data)
        self._born_ms = self._clock_ms()
        self._torn = self._dirty = False
        try:
            disk.sync_directory(self._directory)
        except OSError as error:
            raise disk.unavailable(self._directory, error) from error
