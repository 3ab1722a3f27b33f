"""How refusals leave extauth: a file a minute, seen when it is complete, bounded in number, gone when Kafka has it."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from extauth import security_events
from extauth.client_address import client_address, network_of
from extauth.security_events import SecurityEvents
from ias.kafka import KafkaUnavailable, Message, Publisher
from ias.security_event import SUFFIX, RequestsRefused, decode
from tests.support.usage_events import some_id


class Taker(Publisher):
    """Takes messages, or is away."""

    def __init__(self) -> None:
        super().__init__({})
        self.taken: list[RequestsRefused] = []
        self.away = False

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        if self.away:
            raise KafkaUnavailable("away")
        self.taken += [decode(message.value) for message in messages]


async def end(events: SecurityEvents) -> None:
    """Let it hand over everything, as at the end of the process."""
    stop = asyncio.Event()
    stop.set()
    await events.run(stop)


def written(directory: Path) -> list[RequestsRefused]:
    return [decode(line) for path in sorted(directory.glob(f"*{SUFFIX}")) for line in path.read_bytes().splitlines()]


async def test_refusals_of_a_minute_become_one_file_with_their_counts(tmp_path: Path) -> None:
    events = SecurityEvents(tmp_path / "made")
    for _ in range(3):
        events.count(401, "invalid_api_key", None, "ias_live_AbCdEfGh", "203.0.113.9")
    events.count(429, "rate_limit_exceeded", some_id(1), None, "2001:db8:1:2::9")
    events.count(503, "service_unavailable", None, None, None)
    await end(events)
    found: Counter[tuple[object, ...]] = Counter()
    for one in written(tmp_path / "made"):  # of two minutes, if one ended meanwhile
        found[one.status, one.code, one.org_id, one.credential, one.address] += one.requests
    assert found == {
        (401, "invalid_api_key", None, "ias_live_AbCdEfGh", "203.0.113.0/24"): 3,
        (429, "rate_limit_exceeded", some_id(1), None, "2001:db8:1::/48"): 1,
    }
    assert len(list((tmp_path / "made").iterdir())) == 1


async def test_without_a_directory_nothing_is_written() -> None:
    events = SecurityEvents(None)
    events.count(401, "invalid_api_key", None, None, None)
    await end(events)


async def test_files_go_when_kafka_has_them_and_stay_while_it_is_away(tmp_path: Path) -> None:
    taker = Taker()
    taker.away = True
    first = SecurityEvents(tmp_path, taker, "t")
    first.count(403, "model_not_allowed", some_id(1), None, None)
    await end(first)
    assert len(written(tmp_path)) == 1
    taker.away = False
    await end(SecurityEvents(tmp_path, taker, "t"))
    assert [(one.status, one.requests) for one in taker.taken] == [(403, 1)]
    assert written(tmp_path) == []


async def test_files_that_nobody_takes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_events, "_MOST_FILES", 2)
    for _ in range(4):
        events = SecurityEvents(tmp_path)
        events.count(404, "model_not_found", None, None, None)
        await end(events)
    assert len(written(tmp_path)) == 2


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"x-envoy-external-address": "203.0.113.9", "x-forwarded-for": "1.2.3.4"}, "203.0.113.9"),
        ({"x-forwarded-for": "1.2.3.4, 10.0.0.7"}, "10.0.0.7"),
        ({"x-forwarded-for": ""}, None),
        ({}, None),
    ],
)
def test_the_clients_address_is_envoys_word_and_not_the_clients(headers: dict[str, str], address: str | None) -> None:
    assert client_address(headers) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.77", "192.0.2.0/24"), ("::ffff:192.0.2.77", "192.0.2.0/24"), ("2001:db8:aa:bb::1", "2001:db8:aa::/48"), ("<script>", None)],
)
def test_addresses_become_networks(address: str, network: str | None) -> None:
    assert network_of(address) == network
