"""Security events on their way from extauth's files into the table, and who may see them."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controlplane import database
from controlplane.security_events.consumer import SecurityConsumer
from controlplane.security_events.feed_files import FileFeed
from controlplane.security_events.ports import FeedUnavailable
from ias.ids import uuid7
from ias.security_event import SUFFIX, RequestsRefused, encode
from tests.component.controlplane.world import World

MINUTE_MS = 1_790_000_000_000 // 60_000 * 60_000


def refused(number: int, org_id: object = None, **changes: object) -> RequestsRefused:
    fields = {"event_id": str(uuid7(MINUTE_MS + number, number)), "minute_ms": MINUTE_MS, "status": 401, "code": "invalid_api_key", "requests": 3}
    return RequestsRefused(**fields | {"org_id": org_id and str(org_id)} | changes)  # type: ignore[arg-type]


def leave(directory: Path, name: str, *events: RequestsRefused) -> None:
    (directory / f"{name}{SUFFIX}").write_bytes(b"".join(encode(event) + b"\n" for event in events))


async def consume(world: World, directory: Path) -> None:
    consumer = SecurityConsumer(FileFeed([directory, directory / "later"]), world.engine)
    while await consumer.step():
        pass


async def test_events_are_stored_once_and_their_files_go(world: World, tmp_path: Path) -> None:
    for _ in range(2):
        leave(tmp_path, "1", refused(1), refused(2, credential="ias_live_AbCdEfGh", address="192.0.2.0/24", overflow=True))
        await consume(world, tmp_path)
    assert list(tmp_path.iterdir()) == []
    page = await world["root"].ok("GET", "/security_events")
    assert [item["id"] for item in page["items"]] == [refused(2).event_id, refused(1).event_id]
    newest = page["items"][0]
    assert (newest["status"], newest["code"], newest["requests"], newest["overflow"]) == (401, "invalid_api_key", 3, True)
    assert (newest["credential"], newest["address"], newest["orgId"]) == ("ias_live_AbCdEfGh", "192.0.2.0/24", None)


async def test_what_is_unreadable_is_put_aside_and_the_rest_goes_on(world: World, tmp_path: Path) -> None:
    (tmp_path / f"0{SUFFIX}").write_bytes(b"{}\n")
    leave(tmp_path, "1", refused(1))
    await consume(world, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["0.unreadable"]
    assert len((await world["root"].ok("GET", "/security_events"))["items"]) == 1


async def test_everybody_sees_the_events_of_the_own_reach(world: World, tmp_path: Path) -> None:
    leave(tmp_path, "1", refused(1, world.orgs["alpha"]), refused(2, world.orgs["beta"]), refused(3))
    await consume(world, tmp_path)

    async def seen(who: str, path: str) -> list[str]:
        return [item["id"] for item in (await world[who].ok("GET", path))["items"]]

    assert await seen("alpha-admin", "/org/alpha/security_events") == [refused(1).event_id]
    assert await seen("root", "/org/beta/security_events") == [refused(2).event_id]
    assert len(await seen("root", "/security_events")) == 3
    assert (await world["alpha-user"].call("GET", "/org/alpha/security_events")).status_code == 403
    assert (await world["beta-admin"].call("GET", "/org/alpha/security_events")).status_code == 404
    assert (await world["alpha-admin"].call("GET", "/security_events")).status_code == 403


async def test_pages_go_on_where_the_last_one_ended(world: World, tmp_path: Path) -> None:
    leave(tmp_path, "1", *(refused(number, world.orgs["alpha"]) for number in range(5)))
    await consume(world, tmp_path)
    ids, cursor = [], ""
    while cursor is not None:
        page = await world["alpha-admin"].ok("GET", f"/org/alpha/security_events?limit=2{cursor and f'&cursor={cursor}'}")
        ids += [item["id"] for item in page["items"]]
        cursor = page["nextCursor"]
    assert ids == [refused(number).event_id for number in (4, 3, 2, 1, 0)]


async def test_old_events_are_deleted(world: World, tmp_path: Path) -> None:
    from controlplane.usage.rules import instant

    leave(tmp_path, "1", refused(1), refused(2, minute_ms=MINUTE_MS + 60_000))
    await consume(world, tmp_path)
    consumer = SecurityConsumer(FileFeed([]), world.engine)
    assert await consumer.forget_before(instant(MINUTE_MS + 60_000)) == 1
    assert [item["id"] for item in (await world["root"].ok("GET", "/security_events"))["items"]] == [refused(2).event_id]


async def test_without_a_database_the_files_stay(tmp_path: Path) -> None:
    leave(tmp_path, "1", refused(1))
    engine = database.create_engine("postgresql://x@/x?host=/nowhere")
    with pytest.raises(FeedUnavailable):
        await SecurityConsumer(FileFeed([tmp_path]), engine).step()
    await engine.dispose()
    assert len(list(tmp_path.iterdir())) == 1


async def test_events_are_found_by_what_they_have(world: World, tmp_path: Path) -> None:
    alpha = world.orgs["alpha"]
    limited = {"status": 429, "code": "rate_limit_exceeded", "credential": "ias_live_AbCdEfGh"}
    three = str(uuid7(MINUTE_MS + 60_003, 3))
    later = refused(3, alpha, minute_ms=MINUTE_MS + 60_000, event_id=three)
    leave(tmp_path, "1", refused(1, alpha, address="192.0.2.0/24"), refused(2, alpha, **limited), later)
    await consume(world, tmp_path)

    async def found(query: str) -> list[str]:
        items = (await world["alpha-admin"].ok("GET", f"/org/alpha/security_events?{query}"))["items"]
        return [item["id"] for item in items]

    one, two = (refused(number).event_id for number in (1, 2))
    assert await found("status=429") == await found("code=rate_limit_exceeded") == await found("credential=ias_live_AbCdEfGh") == [two]
    assert await found("address=192.0.2.0/24") == [one]
    next_minute = (MINUTE_MS + 60_000) // 1000
    moment = datetime.fromtimestamp(next_minute, UTC).isoformat().replace("+00:00", "Z")
    assert await found(f"from={moment}") == [three]
    assert await found(f"to={moment}") == [two, one]
    assert (await world["alpha-admin"].call("GET", "/org/alpha/security_events?status=200")).status_code == 422


async def test_refusals_are_counted_by_what_they_have_in_common(world: World, tmp_path: Path) -> None:
    alpha, beta = world.orgs["alpha"], world.orgs["beta"]
    key = {"status": 429, "code": "rate_limit_exceeded", "credential": "ias_live_AbCdEfGh"}
    leave(tmp_path, "1", refused(1, alpha, **key, requests=50), refused(2, alpha, **key, address="192.0.2.0/24"), refused(3, beta), refused(4))
    await consume(world, tmp_path)
    summary = await world["root"].ok("GET", "/security_events/summary")
    assert (summary["requests"], [(one["status"], one["code"], one["requests"], one["events"]) for one in summary["items"]]) == (
        59,
        [(429, "rate_limit_exceeded", 53, 2), (401, "invalid_api_key", 6, 2)],
    )
    by_key = await world["alpha-admin"].ok("GET", "/org/alpha/security_events/summary?by=key")
    assert [(one["credential"], one["requests"]) for one in by_key["items"]] == [("ias_live_AbCdEfGh", 53)]
    by_org = await world["root"].ok("GET", "/security_events/summary?by=org&top=1")
    assert [one["orgId"] for one in by_org["items"]] == [str(alpha)]
    assert (await world["beta-admin"].ok("GET", "/org/beta/security_events/summary?by=network"))["requests"] == 3
    assert (await world["alpha-admin"].call("GET", "/security_events/summary")).status_code == 403


async def test_the_export_is_what_the_list_is(world: World, tmp_path: Path) -> None:
    leave(tmp_path, "1", refused(1, world.orgs["alpha"]), refused(2, world.orgs["beta"], code="=cmd"))
    await consume(world, tmp_path)
    response = await world["root"].call("GET", "/security_events.csv")
    assert [(row["code"], row["requests"]) for row in csv.DictReader(io.StringIO(response.text))] == [("'=cmd", "3"), ("invalid_api_key", "3")]
    own = await world["alpha-admin"].call("GET", "/org/alpha/security_events.csv?code=nothing")
    assert len(own.text.splitlines()) == 1


@pytest.mark.parametrize("moment", ["0.5", "1700000000", "2030-01-01"])
async def test_a_moment_that_is_none_is_refused(world: World, moment: str) -> None:
    """pydantic alone takes numbers, as seconds or as milliseconds by their size."""
    assert (await world["root"].call("GET", f"/security_events?to={moment}")).status_code == 422
