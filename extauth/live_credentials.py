"""The set of live credential ids that every replica holds, so that an unknown key never reaches a store.

Eight characters are eight bytes are one unsigned 64-bit number: a sorted array of them takes 8 MB for a million. Changes
collect in two small sets and are merged into the array when they have become many.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable

from ias.apikeys import ID_LENGTH

_MERGE_AT = 4096


class TooManyCredentials(Exception):
    """There are more live credentials than this process may hold."""


class LiveCredentials:
    """A set of credential ids, at most `capacity` of them."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._sorted = array("Q")
        self._added: set[int] = set()
        self._removed: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._added) - len(self._removed)

    def __contains__(self, credential_id: str) -> bool:
        number = _number(credential_id)
        return number in self._added or (number not in self._removed and self._in_array(number))

    def load(self, ordered_ids: Iterable[str]) -> None:
        """Add ids to an empty set, in ascending order of their bytes; raise TooManyCredentials, or ValueError for another order."""
        last = self._sorted[-1] if self._sorted else -1
        for credential_id in ordered_ids:
            number = _number(credential_id)
            if number <= last:
                raise ValueError("credential ids must be loaded in ascending order")
            if len(self._sorted) >= self._capacity:
                raise TooManyCredentials(f"more than {self._capacity} live credentials")
            self._sorted.append(number)
            last = number

    def add(self, credential_id: str) -> None:
        """Add an id; raise TooManyCredentials when the set is full."""
        if credential_id in self:
            return
        if len(self) >= self._capacity:
            raise TooManyCredentials(f"more than {self._capacity} live credentials")
        number = _number(credential_id)
        if number in self._removed:
            self._removed.discard(number)
        else:
            self._added.add(number)
        self._merge_if_many()

    def discard(self, credential_id: str) -> None:
        """Remove an id if it is there."""
        number = _number(credential_id)
        if number in self._added:
            self._added.discard(number)
        elif self._in_array(number):
            self._removed.add(number)
        self._merge_if_many()

    def _in_array(self, number: int) -> bool:
        place = bisect_left(self._sorted, number)
        return place < len(self._sorted) and self._sorted[place] == number

    def _merge_if_many(self) -> None:
        """Copy the stretches between the changes as blocks: milliseconds for a million ids."""
        if len(self._added) + len(self._removed) < _MERGE_AT:
            return
        merged, done = array("Q"), 0
        for number in sorted(self._added | self._removed):
            place = bisect_left(self._sorted, number)
            merged.extend(self._sorted[done:place])
            if number in self._added:
                merged.append(number)
                done = place
            else:
                done = place + 1
        merged.extend(self._sorted[done:])
        self._sorted, self._added, self._removed = merged, set(), set()


def _number(credential_id: str) -> int:
    raw = credential_id.encode()
    if len(raw) != ID_LENGTH:
        raise ValueError("a credential id has 8 characters")
    return int.from_bytes(raw, "big")
