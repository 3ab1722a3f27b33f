"""The chain of hashes over the audit log: a batch of rows is sealed by a hash of them and of the seal before. Pure.

`hash` of a seal is SHA-256 over lines of JSON: first `["ias-audit-1", number, previous hash]`, then each row in order of `seq`. A row's line
is the array of its columns, in the order of `Entry`; JSON has no raw line breaks, so that no two different batches have the same lines.
So every change, removal, insertion or exchange of sealed rows is found, and where the chain first breaks is told. What a chain alone
cannot show is its own end being cut off: for that a seal that was noted down before is compared (`verify --expect`).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

VERSION = "ias-audit-1"
NO_HASH = bytes(32)
"""What the first seal follows."""


class Entry(NamedTuple):
    """A row of the audit log as it is hashed. New columns are not added here but to a new version."""

    seq: int
    id: UUID
    timestamp: datetime
    org_id: UUID | None
    user_id: UUID | None
    action: str
    payload: str
    """As PostgreSQL writes its jsonb: the one text of each value."""
    outcome: str
    request_id: str | None
    client_address: str | None
    targets: Sequence[str]


@dataclass(frozen=True, slots=True)
class Seal:
    """One batch: all rows with a `seq` above `last_seq` of the seal before and not above its own."""

    number: int
    first_seq: int
    last_seq: int
    first_id: UUID
    last_id: UUID
    rows: int
    previous_hash: bytes
    hash: bytes

    @property
    def mark(self) -> str:
        """What to note down: number and hash."""
        return f"{self.number}:{self.hash.hex()}"


def seal(previous: Seal | None, entries: Sequence[Entry]) -> Seal:
    """Seal entries, at least one, that are in order of `seq`."""
    first, last = entries[0], entries[-1]
    number, previous_hash = (previous.number + 1, previous.hash) if previous else (1, NO_HASH)
    return Seal(number, first.seq, last.seq, first.id, last.id, len(entries), previous_hash, _hash(number, previous_hash, entries))


def flaw(previous: Seal | None, sealed: Seal, entries: Sequence[Entry]) -> str | None:
    """Return what is wrong with a seal and the rows found in its range, in words; None: nothing."""
    expected_number = previous.number + 1 if previous else 1
    if sealed.number != expected_number:
        return f"the seal {expected_number} before it is missing"
    if sealed.previous_hash != (previous.hash if previous else NO_HASH):
        return "it does not follow from the seal before: one of the two was changed"
    if len(entries) != sealed.rows:
        missing = sealed.rows - len(entries)
        return f"{missing} of its {sealed.rows} rows are missing" if missing > 0 else f"{-missing} rows were put in beside its {sealed.rows}"
    ends = (entries[0].seq, entries[-1].seq, entries[0].id, entries[-1].id) if entries else None
    if ends != (sealed.first_seq, sealed.last_seq, sealed.first_id, sealed.last_id):
        return "its first or last row is another one"
    return None if _hash(sealed.number, sealed.previous_hash, entries) == sealed.hash else "a row was changed"


def _hash(number: int, previous_hash: bytes, entries: Sequence[Entry]) -> bytes:
    digest = hashlib.sha256(_line([VERSION, number, previous_hash.hex()]))
    for entry in entries:
        digest.update(_line([_plain(value) for value in entry]))
    return digest.digest()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, UUID):
        return str(value)
    return value if value is None or isinstance(value, int | str) else list(value)  # type: ignore[call-overload]


def _line(values: list[object]) -> bytes:
    return json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
