"""Credential records in memory: the most recently used, at most so many; dropped when the change log names them."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from sys import intern

import msgspec

from extauth.limits import Rules, key_rules, org_rules, user_rules
from ias.gateway_views import Credential, ScopeLimits
from ratelimit.ports import Limit

_MADE_INTO_RULES = ScopeLimits()


@dataclass(frozen=True, slots=True)
class KnownCredential:
    """A credential, and the limits of its key, user and org. Those are in `credential` no more: keys of one org share what they have alike."""

    credential: Credential
    key_rules: Rules
    user_rules: Rules
    org_rules: Rules

    @classmethod
    def of(cls, credential: Credential) -> "KnownCredential":
        """Prepare what every request would compute anew."""
        lean = msgspec.structs.replace(
            credential,
            key_limits=_MADE_INTO_RULES,
            user_limits=_MADE_INTO_RULES,
            org_limits=_MADE_INTO_RULES,
            user_id=intern(credential.user_id),
            org_id=intern(credential.org_id),
        )
        return cls(
            lean,
            key_rules(credential.key_id, credential.key_limits),
            user_rules(credential.user_id, credential.user_limits),
            org_rules(credential.org_limits),
        )

    def limits_at(self, now_ms: int) -> tuple[Limit, ...]:
        """All limits of key, user and org at a time of the wall clock."""
        return self.key_rules.at(now_ms) + self.user_rules.at(now_ms) + self.org_rules.at(now_ms)


class RecordCache:
    """A least-recently-used cache by credential id. `None` as a record means: known to be gone."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._records: OrderedDict[str, KnownCredential | None] = OrderedDict()
        self._by_owner: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, credential_id: str) -> bool:
        return credential_id in self._records

    def get(self, credential_id: str) -> KnownCredential | None:
        """Return the record and make it the most recently used; raise KeyError when none is kept."""
        record = self._records[credential_id]
        self._records.move_to_end(credential_id)
        return record

    def put(self, credential_id: str, record: KnownCredential | None) -> None:
        """Keep a record; the least recently used one goes when there are too many."""
        self.drop(credential_id)
        self._records[credential_id] = record
        for owner in _owners(record):
            self._by_owner.setdefault(owner, set()).add(credential_id)
        if len(self._records) > self._capacity:
            self.drop(next(iter(self._records)))

    def drop(self, credential_id: str) -> None:
        """Forget one record."""
        for owner in _owners(self._records.pop(credential_id, None)):
            owned = self._by_owner[owner]
            owned.discard(credential_id)
            if not owned:
                del self._by_owner[owner]

    def drop_owned(self, owners: Iterable[str]) -> None:
        """Forget the records of keys, users or orgs; their ids are UUIDs, so the kinds need not be told apart."""
        for owner in owners:
            for credential_id in tuple(self._by_owner.get(owner, ())):
                self.drop(credential_id)

    def clear(self) -> None:
        """Forget all."""
        self._records.clear()
        self._by_owner.clear()


def _owners(record: KnownCredential | None) -> tuple[str, ...]:
    if record is None:
        return ()
    credential = record.credential
    return credential.key_id, credential.user_id, credential.org_id
