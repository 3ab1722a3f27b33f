"""What a replica knows: live ids, records of credentials, publications; how old it is; and how changes alter it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from extauth.live_credentials import LiveCredentials
from extauth.publications import PublicationIndex
from extauth.records import KnownCredential, RecordCache
from ias.change_log import Change
from ias.gateway_views import ChangeKind, Credential, Publication

_OWNERS = (ChangeKind.KEY, ChangeKind.USER, ChangeKind.ORG)


@dataclass(frozen=True, slots=True)
class Changed:
    """The ids that a stretch of the change log names."""

    credentials: tuple[str, ...]
    publications: tuple[str, ...]
    owners: tuple[str, ...]
    """Keys, users and orgs."""

    @classmethod
    def of(cls, changes: Iterable[Change]) -> "Changed":
        """Sort changes by kind; kinds of a newer writer are ignored."""
        ids: dict[str, dict[str, None]] = {kind: {} for kind in ChangeKind}
        for change in changes:
            if change.kind in ids:
                ids[change.kind][change.id] = None
        owners = tuple(owner for kind in _OWNERS for owner in ids[kind])
        return cls(tuple(ids[ChangeKind.CREDENTIAL]), tuple(ids[ChangeKind.PUBLICATION]), owners)


class Snapshot:
    """The state in memory. `generation` counts what was applied: a read that began under another one may not be kept."""

    def __init__(self, max_credentials: int, max_records: int, max_age_s: float) -> None:
        self.live = LiveCredentials(max_credentials)
        self.records = RecordCache(max_records)
        self.publications = PublicationIndex()
        self.generation = 0
        self._max_age_s = max_age_s
        self._confirmed_at: float | None = None

    def is_fresh(self, now_s: float) -> bool:
        """Whether the truth was read recently enough to decide by this; False before the first time."""
        return self._confirmed_at is not None and now_s - self._confirmed_at <= self._max_age_s

    def confirm(self, now_s: float) -> None:
        """The truth was read up to `now_s`, on a clock that never goes back."""
        self._confirmed_at = now_s

    def replace(self, live: LiveCredentials, publications: Iterable[Publication]) -> None:
        """Take a whole new state; nothing of the old one stays."""
        self.live = live
        self.records.clear()
        self.publications.replace(publications)
        self.generation += 1

    def with_visited(self, changed: Changed) -> Changed:
        """Add the publications without a key whose owners changed: their visitors have the owner's state and limits."""
        visited = self.publications.visited_of(changed.owners)
        return replace(changed, publications=(*changed.publications, *visited)) if visited else changed

    def apply(self, changed: Changed, credentials: Sequence[Credential], publications: Sequence[Publication]) -> None:
        """Take changes: of what `changed` names, the rows that are there now. Raises TooManyCredentials."""
        self.generation += 1
        self.publications.update(changed.publications, publications)
        self.records.drop_owned(changed.owners)
        gone = set(changed.credentials).difference(credential.credential_id for credential in credentials)
        for credential_id in gone:
            self.live.discard(credential_id)
            self.records.drop(credential_id)
        for credential in credentials:  # last, because only this can fail
            self.live.add(credential.credential_id)
            self.records.put(credential.credential_id, KnownCredential.of(credential))
