"""What people ask of the ledger: sums within their reach, and one request by its id."""

import csv
import io
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from controlplane.usage.ledger_postgres import PostgresLedger
from ias.ids import uuid7
from ias.usage_event import Outcome
from tests.component.controlplane.world import World
from tests.support.usage_events import event, some_id


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(database_url)
    yield ledger
    await ledger.close()


class Ask:
    """Writes requests of a world's people to the ledger as the worker does."""

    def __init__(self, world: World, ledger: PostgresLedger) -> None:
        self.world, self.ledger, self.number = world, ledger, 0

    async def __call__(
        self, who: str, model: str = "chat", outcome: Outcome = Outcome.COMPLETE, at: datetime | None = None, request_id: str = "r"
    ) -> None:
        self.number += 1
        at_ms = int((at or datetime.now(UTC)).timestamp() * 1000)
        person = self.world[who]
        whose = {"org_id": str(person.org_id), "user_id": str(person.user_id), "key_id": some_id(self.number)}
        tokens = {"input_tokens": 10, "cached_input_tokens": 4, "output_tokens": 5, "reasoning_tokens": 1}
        asked = event(self.number, outcome, event_id=str(uuid7(at_ms)), model=model, request_id=request_id, **whose, **tokens)
        await self.ledger.write([asked], {})


@pytest.fixture
def ask(world: World, ledger: PostgresLedger) -> Ask:
    return Ask(world, ledger)


@pytest.fixture
async def used(world: World, ask: Ask) -> World:
    """Alpha's admin asked `chat` twice and its user `embed` once, long ago too; beta's user asked `chat` once."""
    await ask("alpha-admin", request_id="a-1")
    await ask("alpha-admin", outcome=Outcome.CLIENT_ABORT)
    await ask("alpha-user", "embed")
    await ask("alpha-user", "embed", at=datetime.now(UTC) - timedelta(days=40))
    await ask("beta-user", request_id="b-1")
    return world


def sums(total: dict[str, Any]) -> dict[str, int]:
    return {name: value for name, value in total.items() if isinstance(value, int)}


def by(rows: list[dict[str, Any]], name: str) -> dict[Any, int]:
    return {row[name]: row["requests"] for row in rows}


async def test_an_orgs_usage_is_broken_down(used: World) -> None:
    usage = await used["alpha-user"].ok("GET", "/analytics/org/alpha")
    assert sums(usage["totals"]) == {"requests": 3, "inputTokens": 30, "outputTokens": 15, "cachedInputTokens": 12, "reasoningTokens": 3, "errors": 0}
    assert by(usage["byModel"], "model") == {"chat": 2, "embed": 1}
    assert by(usage["byUser"], "username") == {"alpha-admin": 2, "alpha-user": 1}
    assert by(usage["byOutcome"], "outcome") == {"complete": 2, "client_abort": 1}
    assert len(usage["byKey"]) == 3
    assert usage["from"].endswith("T00:00:00Z"), "whole days, which days' rollups tell"


async def test_an_org_without_requests_has_zeros(world: World) -> None:
    usage = await world["alpha-user"].ok("GET", "/analytics/org/alpha")
    assert set(sums(usage["totals"]).values()) == {0}
    assert usage["totals"]["errorRate"] == 0.0
    assert set(usage["totals"]["latency"].values()) == set(usage["totals"]["firstToken"].values()) == {None}
    assert usage["byModel"] == usage["byUser"] == usage["byKey"] == usage["byOutcome"] == []


async def test_a_period_is_by_time_of_admission(used: World) -> None:
    long_ago = await used["alpha-user"].ok("GET", "/analytics/org/alpha?from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00Z")
    assert long_ago["totals"]["requests"] == 0


@pytest.mark.parametrize(
    "query",
    [
        "from=2030-01-01T00:00:00Z",
        "from=2020-01-01T00:00:00Z",
        "from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z",
        "from=x",
        "since=x",
        "from=9999-12-31T23:59:59-14:00",
        "to=0001-01-01T00:00:00Z",
    ],
)
async def test_periods_that_make_no_sense(used: World, query: str) -> None:
    assert (await used["alpha-user"].call("GET", f"/analytics/org/alpha?{query}")).status_code == 422


async def test_nobody_sees_another_orgs_usage(used: World) -> None:
    for who in ("alpha-admin", "alpha-user"):
        assert (await used[who].call("GET", "/analytics/org/beta")).status_code == 404
        assert (await used[who].call("GET", "/analytics/system")).status_code == 403


async def test_a_system_admin_sees_everything(used: World) -> None:
    system = await used["root"].ok("GET", "/analytics/system")
    assert by(system["byOrg"], "slug") == {"alpha": 3, "beta": 1}
    assert system["totals"]["requests"] == 4
    assert (await used["root"].ok("GET", "/analytics/org/beta"))["totals"]["requests"] == 1


NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MOMENTS = [
    timedelta(days=-2),
    timedelta(hours=-13),
    timedelta(minutes=-7),
    timedelta(0),
    timedelta(minutes=8),
    timedelta(minutes=15),
    timedelta(days=3),
]


STARTS = [timedelta(days=-3), timedelta(days=-1, minutes=3), timedelta(minutes=-7), timedelta(seconds=1)]
ENDS = [timedelta(seconds=2), timedelta(minutes=8), timedelta(hours=13, minutes=1), timedelta(days=4)]


async def test_a_period_is_exact_wherever_it_begins_and_ends(world: World, ask: Ask) -> None:
    for moment in MOMENTS:
        await ask("alpha-user", at=NOON + moment)
    for start, end in itertools.product(STARTS, ENDS):
        query = f"from={(NOON + start).isoformat()}&to={(NOON + end).isoformat()}".replace("+", "%2B")
        expected = sum(start <= moment < end for moment in MOMENTS)
        usage = await world["alpha-user"].ok("GET", f"/analytics/org/alpha?{query}")
        assert usage["totals"]["requests"] == expected, query
        for interval in ("day", "hour"):
            series = await world["alpha-user"].ok("GET", f"/analytics/org/alpha/series?{query}&interval={interval}")
            assert sum(point["requests"] for point in series["points"]) == expected, (query, interval)


async def test_a_series_has_a_point_for_each_interval_with_requests(world: World, ask: Ask) -> None:
    for moment in MOMENTS:
        await ask("alpha-user", at=NOON + moment)
    for interval, expected in {
        "day": {"2026-03-08": 1, "2026-03-09": 1, "2026-03-10": 4, "2026-03-13": 1},
        "hour": {"2026-03-08T12": 1, "2026-03-09T23": 1, "2026-03-10T11": 1, "2026-03-10T12": 3, "2026-03-13T12": 1},
        "quarter_hour": {
            "2026-03-08T12:00": 1,
            "2026-03-09T23:00": 1,
            "2026-03-10T11:45": 1,
            "2026-03-10T12:00": 2,
            "2026-03-10T12:15": 1,
            "2026-03-13T12:00": 1,
        },
    }.items():
        path = f"/analytics/org/alpha/series?from=2026-03-08T00:00:00Z&to=2026-03-14T00:00:00Z&interval={interval}"
        points = (await world["alpha-user"].ok("GET", path))["points"]
        assert {point["start"][: len(next(iter(expected)))]: point["requests"] for point in points} == expected
        assert sum(point["inputTokens"] for point in points) == 10 * len(MOMENTS)


async def test_a_series_is_bounded_and_within_the_reach(used: World) -> None:
    assert (await used["alpha-user"].call("GET", "/analytics/org/alpha/series?interval=quarter_hour")).status_code == 422
    assert (await used["alpha-user"].call("GET", "/analytics/org/beta/series")).status_code == 404
    assert (await used["alpha-admin"].call("GET", "/analytics/system/series")).status_code == 403
    system = await used["root"].ok("GET", "/analytics/system/series?interval=hour")
    assert sum(point["requests"] for point in system["points"]) == 4


async def test_requests_that_were_lost_and_found_are_counted_as_found(world: World, ledger: PostgresLedger) -> None:
    person = world["alpha-user"]
    for outcome in (Outcome.LOST, Outcome.COMPLETE):
        one = event(1, outcome, event_id=str(uuid7(int(NOON.timestamp() * 1000), 1)), org_id=str(person.org_id), user_id=str(person.user_id))
        await ledger.write([one], {})
    usage = await person.ok("GET", "/analytics/org/alpha?from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z")
    assert by(usage["byOutcome"], "outcome") == {"complete": 1}


async def test_everybody_sees_the_own_usage(used: World) -> None:
    own = await used["alpha-user"].ok("GET", "/analytics/own")
    assert (own["totals"]["requests"], by(own["byModel"], "model"), "byUser" in own) == (1, {"embed": 1}, False)
    assert (await used["alpha-admin"].ok("GET", "/analytics/own"))["totals"]["requests"] == 2
    assert (await used["root"].ok("GET", "/analytics/own"))["totals"]["requests"] == 0
    assert [item["name"] for item in (await used["alpha-user"].ok("GET", "/analytics/own/top?by=org"))["items"]] == ["alpha"]


async def test_filters_narrow_every_answer_alike(used: World) -> None:
    user = used["alpha-admin"].user_id
    for query, requests in ((f"user={user}", 2), ("model=embed", 1), ("outcome=client_abort", 1), (f"user={user}&model=embed", 0)):
        assert (await used["alpha-user"].ok("GET", f"/analytics/org/alpha?{query}"))["totals"]["requests"] == requests
        points = (await used["alpha-user"].ok("GET", f"/analytics/org/alpha/series?{query}"))["points"]
        assert sum(point["requests"] for point in points) == requests
        top = (await used["alpha-user"].ok("GET", f"/analytics/org/alpha/top?by=user&{query}"))["items"]
        assert sum(item["requests"] for item in top) == requests
    assert (await used["alpha-user"].call("GET", "/analytics/org/alpha?user=root")).status_code == 422


async def test_the_top_is_what_has_most_of_what_is_asked_for(world: World, ask: Ask) -> None:
    await ask("alpha-user", "chat")
    await ask("alpha-user", "chat")
    await ask("alpha-admin", "embed", outcome=Outcome.UPSTREAM_ERROR)

    async def top(query: str) -> list[tuple[str, int, int, float]]:
        items = (await world["root"].ok("GET", f"/analytics/system/top?{query}"))["items"]
        return [(item["name"] or item["group"], item["requests"], item["errors"], item["errorRate"]) for item in items]

    assert await top("by=model") == [("chat", 2, 0, 0.0), ("embed", 1, 1, 1.0)]
    assert await top("by=model&order=errors&limit=1") == [("embed", 1, 1, 1.0)]
    assert await top("by=user") == [("alpha-user", 2, 0, 0.0), ("alpha-admin", 1, 1, 1.0)]
    assert await top("by=org") == [("alpha", 3, 1, 0.333333)]
    assert await top("by=outcome&order=requests") == [("complete", 2, 0, 0.0), ("upstream_error", 1, 1, 1.0)]


async def test_a_series_can_be_split_by_a_dimension(used: World) -> None:
    series = await used["alpha-user"].ok("GET", "/analytics/org/alpha/series?by=model&interval=day")
    assert {(point["group"], point["requests"]) for point in series["points"]} == {("chat", 2), ("embed", 1)}


async def test_latencies_are_told_by_the_histogram_and_by_rows_alike(world: World, ledger: PostgresLedger) -> None:
    """A day whole, a day cut in the middle: the same requests, once from the rollup and once from the ledger."""
    person = world["alpha-user"]
    whose = {"org_id": str(person.org_id), "user_id": str(person.user_id)}
    durations = [50] * 50 + [700] * 45 + [20_000] * 5
    requests = [
        event(
            number,
            event_id=str(uuid7(int(NOON.timestamp() * 1000) + number, number)),
            duration_ms=duration,
            time_to_first_token_ms=number if number < 50 else None,
            **whose,
        )
        for number, duration in enumerate(durations)
    ]
    await ledger.write(requests, {})
    for end in ("2026-03-11T00:00:00Z", "2026-03-10T12:00:01Z"):
        usage = await person.ok("GET", f"/analytics/org/alpha?from=2026-03-10T00:00:00Z&to={end}")
        assert usage["totals"]["latency"] == {"p50Ms": 100, "p90Ms": 944, "p95Ms": 1000, "p99Ms": 26_000}
        assert usage["totals"]["firstToken"] == {"p50Ms": 24, "p90Ms": 49, "p95Ms": 54, "p99Ms": 59}


async def test_a_report_has_a_row_for_each_combination(used: World) -> None:
    response = await used["alpha-user"].call("GET", "/analytics/org/alpha/report.csv?by=model&by=user&interval=day")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert {(row["model"], row["user_name"], row["requests"], row["input_tokens"]) for row in rows} == {
        ("chat", "alpha-admin", "2", "20"),
        ("embed", "alpha-user", "1", "10"),
    }
    assert next(iter(rows[0])) == "start"
    total = list(csv.DictReader(io.StringIO((await used["root"].call("GET", "/analytics/system/report.csv")).text)))
    assert [(row["requests"], row["error_rate"]) for row in total] == [("4", "0.0")]
    assert (await used["alpha-admin"].call("GET", "/analytics/org/beta/report.csv")).status_code == 404


async def test_rollups_tell_what_the_rows_tell_whatever_is_asked(world: World, ledger: PostgresLedger) -> None:
    """Random requests over four days, random periods, filters and dimensions: every sum is that of the ledger."""
    random = Random(7)
    people = [world["alpha-user"], world["alpha-admin"], world["beta-user"]]
    requests = []
    for number in range(300):
        person = random.choice(people)
        requests.append(
            event(
                number,
                random.choice(list(Outcome)),
                event_id=str(uuid7(int(NOON.timestamp() * 1000) + random.randrange(4 * 86_400_000), number)),
                org_id=str(person.org_id),
                user_id=str(person.user_id),
                key_id=some_id(random.randrange(4)),
                model=random.choice(["chat", "embed"]),
                input_tokens=random.randrange(1000),
                output_tokens=random.randrange(1000),
                duration_ms=random.choice([0, 100, 101, 3_000, 700_000]),
            )
        )
    await ledger.write(requests, {})
    columns = {"user": "user_id", "key": "key_id", "model": "model", "outcome": "outcome", "endpoint": "endpoint"}
    for _ in range(25):
        start = NOON + timedelta(milliseconds=random.randrange(-86_400_000, 3 * 86_400_000))
        end = start + timedelta(milliseconds=random.choice([0, 5, 900_000, 86_400_000, 3 * 86_400_000]))
        chosen = random.choice(requests)
        filters = {name: str(getattr(chosen, column)) for name, column in columns.items() if random.random() < 0.3}
        dimension = random.choice(list(columns))
        where = " AND ".join(["true", *(f"{columns[name]}::text = :{name}" for name in filters)])
        expected = await world.rows(
            f"""SELECT {columns[dimension]}::text AS name, count(*) AS requests, sum(input_tokens) AS input, sum(output_tokens) AS output,
            count(*) FILTER (WHERE outcome IN ('upstream_error', 'lost')) AS errors
            FROM ledger WHERE admitted_at >= :start AND admitted_at < :end AND {where} GROUP BY 1""",
            start=start,
            end=end,
            **filters,
        )
        query = {"from": start.isoformat(), "to": end.isoformat(), "by": dimension, **filters}
        response = await world["root"].call("GET", "/analytics/system/top", params=query)
        found = {(item["group"], item["requests"], item["inputTokens"], item["outputTokens"], item["errors"]) for item in response.json()["items"]}
        assert found == {(row.name, row.requests, row.input, row.output, row.errors) for row in expected}, query
