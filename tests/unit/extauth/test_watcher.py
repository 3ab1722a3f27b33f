"""Following the log: what survives a failure, and when everything is read anew."""

from collections.abc import Callable, Sequence

from extauth.snapshot import Snapshot
from extauth.watcher import ChangeWatcher
from ias.apikeys import new_key
from ias.change_log import Change, Changes, Position, ReaderUnavailable
from ias.gateway_views import Credential, ModelType, Publication
from tests.unit.extauth.world import KEY, credential, publication


class Truth:
    """A reader on lists."""

    def __init__(self) -> None:
        self.epoch = "e1"
        self.log: list[Change] = []
        self.rows = [credential()]
        self.published = [publication()]
        self.down = False
        self.loads = 0

    def write(self, kind: str, id_: str) -> None:
        self.log.append(Change(len(self.log) + 1, kind, id_))

    def _check(self) -> None:
        if self.down:
            raise ReaderUnavailable("down")

    async def position(self) -> Position:
        self._check()
        return Position(self.epoch, len(self.log))

    async def changes(self, after_seq: int) -> Changes:
        self._check()
        return Changes(self.epoch, tuple(self.log[after_seq : after_seq + 2]))

    async def each_credential_id(self, take: Callable[[list[str]], None]) -> None:
        self._check()
        self.loads += 1
        for row in sorted(self.rows, key=lambda row: row.credential_id):
            take([row.credential_id])

    async def credentials(self, credential_ids: Sequence[str]) -> list[Credential]:
        self._check()
        return [row for row in self.rows if row.credential_id in credential_ids]

    async def publications(self, publication_ids: Sequence[str] | None = None) -> list[Publication]:
        self._check()
        return [row for row in self.published if publication_ids is None or row.publication_id in publication_ids]


def watched(now: Callable[[], float] = lambda: 0.0) -> tuple[Truth, Snapshot, ChangeWatcher]:
    truth, snapshot = Truth(), Snapshot(3, 10, max_age_s=60)
    return truth, snapshot, ChangeWatcher(truth, snapshot, 3, 0.5, now)


async def test_loads_then_follows_in_several_portions() -> None:
    truth, snapshot, watcher = watched()
    await watcher.poll()
    assert KEY.credential_id in snapshot.live
    others = [new_key(), new_key()]
    truth.rows += [credential(other) for other in others]
    for kind, id_ in (("weather", "x"), ("user", "u"), ("credential", others[0].credential_id), ("credential", others[1].credential_id)):
        truth.write(kind, id_)
    await watcher.poll()
    assert all(other.credential_id in snapshot.live for other in others)
    assert truth.loads == 1


async def test_a_publication_without_a_key_follows_the_org_that_owns_it() -> None:
    truth, snapshot, watcher = watched()
    free = {"owner_org_id": "o", "require_api_key": False, "model_type": ModelType.TRADITIONAL}
    truth.published = [publication("iris", **free)]
    await watcher.poll()
    assert (seen := snapshot.publications.find("iris")) is not None
    assert seen.visitor is not None
    truth.published = [publication("iris", **free, owner_active=False)]
    truth.write("org", "o")  # suspended; of the publication itself nothing was written
    await watcher.poll()
    assert (seen := snapshot.publications.find("iris")) is not None
    assert seen.visitor is None


async def test_a_failure_keeps_the_state_and_the_next_poll_goes_on_where_it_was() -> None:
    truth, snapshot, watcher = watched()
    await watcher.poll()
    truth.rows.clear()
    truth.write("credential", KEY.credential_id)
    truth.down = True
    assert not await watcher._try(watcher.poll)
    assert KEY.credential_id in snapshot.live
    truth.down = False
    assert await watcher._try(watcher.poll)
    assert KEY.credential_id not in snapshot.live
    assert truth.loads == 1


async def test_another_epoch_loads_everything() -> None:
    truth, snapshot, watcher = watched()
    await watcher.poll()
    truth.epoch, truth.rows = "e2", []
    await watcher.poll()
    assert len(snapshot.live) == 0
    assert truth.loads == 2


async def test_after_a_silence_in_which_the_log_may_have_been_pruned_everything_is_loaded() -> None:
    now = 0.0
    truth, _, watcher = watched(lambda: now)
    await watcher.poll()
    now = 61.0
    await watcher.poll()
    assert truth.loads == 2


async def test_more_credentials_than_memory_may_hold_is_a_failure_that_keeps_the_state() -> None:
    truth, snapshot, watcher = watched()
    await watcher.poll()
    others = [new_key() for _ in range(3)]
    truth.rows += [credential(other) for other in others]
    for other in others:
        truth.write("credential", other.credential_id)
    assert not await watcher._try(watcher.poll)
    assert KEY.credential_id in snapshot.live
    truth.epoch = "e2"
    assert not await watcher._try(watcher.poll)
    assert KEY.credential_id in snapshot.live
