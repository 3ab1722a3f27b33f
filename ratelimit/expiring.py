"""A dictionary whose entries expire, bounded by what has not: for the memory store."""

from typing import Generic, TypeVar

_T = TypeVar("_T")
_FIRST_CLEANING = 1_024


class Expiring(Generic[_T]):
    """Time comes in with every call, in ms."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[_T, int]] = {}
        self._clean_at = _FIRST_CLEANING

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str, now_ms: int) -> _T | None:
        found = self._kept.get(key)
        return found[0] if found is not None and found[1] > now_ms else None

    def put(self, key: str, value: _T, until_ms: int, now_ms: int) -> None:
        self._kept[key] = (value, until_ms)
        if len(self._kept) >= self._clean_at:
            self._kept = {key: kept for key, kept in self._kept.items() if kept[1] > now_ms}
            self._clean_at = max(_FIRST_CLEANING, 2 * len(self._kept))

    def touch(self, key: str, until_ms: int) -> None:
        """Keep what there is at least until then."""
        if key in self._kept:
            value, until = self._kept[key]
            self._kept[key] = (value, max(until, until_ms))

    def drop(self, key: str) -> None:
        self._kept.pop(key, None)
