"""Security events from the directories of extauth processes on this machine: a file is read, stored, and deleted."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from controlplane.security_events.ports import FeedUnavailable, Taken
from ias import logs
from ias.security_event import SUFFIX, RequestsRefused, decode
from ias.telemetry import DEAD_LETTERS

_FILES = 20
_BAD = ".unreadable"

log = logs.get(__name__)


class FileFeed:
    """Some directories; one that does not exist yet is empty."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories

    async def take(self) -> Taken | None:
        paths = [path for directory in self._directories for path in islice(sorted(directory.glob(f"*{SUFFIX}")), _FILES)]
        if not paths:
            return None
        try:
            return Taken([event for path in paths for event in _read(path)], paths)
        except OSError as error:
            raise FeedUnavailable(f"{error.filename}: {error.strerror}") from error

    async def stored(self, taken: Taken) -> None:
        assert isinstance(taken.receipt, list)
        for path in taken.receipt:
            path.unlink(missing_ok=True)

    async def close(self) -> None:
        return


def _read(path: Path) -> list[RequestsRefused]:
    try:
        return [decode(line) for line in path.read_bytes().splitlines()]
    except ValueError as error:
        DEAD_LETTERS.inc()
        log.error("security events are unreadable and put aside", file=str(path), reason=str(error))
        path.rename(path.with_suffix(_BAD))
        return []
