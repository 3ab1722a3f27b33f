"""Reads of records: joined, bounded in time, and never kept when a change came meanwhile."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from extauth.lookup import CredentialLookup
from extauth.ports import GatewayReader
from extauth.snapshot import Changed, Snapshot
from ias.change_log import ReaderUnavailable
from ias.gateway_views import Credential
from tests.unit.extauth.world import KEY, credential

ID = KEY.credential_id


class SlowReader:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.answers: list[asyncio.Future[list[Credential]]] = []

    async def credentials(self, _: Sequence[str]) -> list[Credential]:
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]


@pytest.fixture
def reader() -> SlowReader:
    return SlowReader()


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot(10, 10, 60)


def lookup(reader: SlowReader, snapshot: Snapshot, timeout_s: float = 5) -> CredentialLookup:
    return CredentialLookup(cast("GatewayReader", reader), snapshot, timeout_s)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_read_serves_all_who_wait_and_is_kept(reader: SlowReader, snapshot: Snapshot) -> None:
    credentials = lookup(reader, snapshot)
    waiting = [asyncio.ensure_future(credentials.find(ID)) for _ in range(3)]
    await turns()
    reader.answers[0].set_result([credential()])
    first, *others = [await one for one in waiting]
    assert all(one is first for one in others)
    assert await credentials.find(ID) is not None
    assert len(reader.answers) == 1


async def test_a_credential_that_is_gone_is_kept_as_gone(reader: SlowReader, snapshot: Snapshot) -> None:
    credentials = lookup(reader, snapshot)
    waiting = asyncio.ensure_future(credentials.find(ID))
    await turns()
    reader.answers[0].set_result([])
    assert await waiting is None
    assert await credentials.find(ID) is None
    assert len(reader.answers) == 1


async def test_a_read_that_began_before_a_change_is_neither_kept_nor_joined(reader: SlowReader, snapshot: Snapshot) -> None:
    """Else a key that was revoked meanwhile would stay valid for ever."""
    credentials = lookup(reader, snapshot)
    early = asyncio.ensure_future(credentials.find(ID))
    await turns()
    snapshot.apply(Changed((), (), ("key-1",)), [], [])
    late = asyncio.ensure_future(credentials.find(ID))
    await turns()
    reader.answers[0].set_result([credential()])
    assert await early is not None
    assert ID not in snapshot.records
    reader.answers[1].set_result([])
    assert await late is None
    assert ID in snapshot.records


async def test_a_read_that_hangs_fails_in_time_and_its_answer_is_still_used(reader: SlowReader, snapshot: Snapshot) -> None:
    credentials = lookup(reader, snapshot, timeout_s=0.01)
    with pytest.raises(ReaderUnavailable, match="no answer"):
        await credentials.find(ID)
    reader.answers[0].set_result([credential()])
    await turns()
    assert await credentials.find(ID) is not None


async def test_a_read_that_fails_is_tried_again_by_the_next(reader: SlowReader, snapshot: Snapshot) -> None:
    credentials = lookup(reader, snapshot)
    waiting = asyncio.ensure_future(credentials.find(ID))
    await turns()
    reader.answers[0].set_exception(ReaderUnavailable("down"))
    with pytest.raises(ReaderUnavailable, match="down"):
        await waiting
    again = asyncio.ensure_future(credentials.find(ID))
    await turns()
    reader.answers[1].set_result([credential()])
    assert await again is not None


async def test_the_number_of_reads_is_bounded(reader: SlowReader, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extauth.lookup._MAX_READS", 1)
    credentials = lookup(reader, snapshot)
    first = asyncio.ensure_future(credentials.find(ID))
    await turns()
    with pytest.raises(ReaderUnavailable, match="too many"):
        await credentials.find("ZZZZZZZZ")
    reader.answers[0].set_result([])
    await first
