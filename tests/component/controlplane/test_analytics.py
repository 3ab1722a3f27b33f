"""What people ask of the ledger: sums within their reach, and one request by its id."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
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


def by(rows: list[dict[str, Any]], name: str) -> dict[Any, int]:
    return {row[name]: row["requests"] for row in rows}


async def test_an_orgs_usage_is_broken_down(used: World) -> None:
    usage = await used["alpha-user"].ok("GET", "/analytics/org/alpha")
    assert usage["totals"] == {"requests": 3, "inputTokens": 30, "outputTokens": 15, "cachedInputTokens": 12, "reasoningTokens": 3}
    assert by(usage["byModel"], "model") == {"chat": 2, "embed": 1}
    assert by(usage["byUser"], "username") == {"alpha-admin": 2, "alpha-user": 1}
    assert by(usage["byOutcome"], "outcome") == {"complete": 2, "client_abort": 1}
    assert len(usage["byKey"]) == 3


async def test_an_org_without_requests_has_zeros(world: World) -> None:
    usage = await world["alpha-user"].ok("GET", "/analytics/org/alpha")
    assert usage["totals"] == {"requests": 0, "inputTokens": 0, "outputTokens": 0, "cachedInputTokens": 0, "reasoningTokens": 0}
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
        assert (await used[who].call("GET", "/requests/b-1")).status_code == 404
        assert (await used[who].call("GET", "/analytics/system")).status_code == 403


async def test_a_system_admin_sees_everything(used: World) -> None:
    system = await used["root"].ok("GET", "/analytics/system")
    assert by(system["byOrg"], "slug") == {"alpha": 3, "beta": 1}
    assert system["totals"]["requests"] == 4
    assert (await used["root"].ok("GET", "/analytics/org/beta"))["totals"]["requests"] == 1


async def test_a_request_is_found_by_the_id_of_its_answer(used: World) -> None:
    (row,) = (await used["alpha-user"].ok("GET", "/requests/a-1"))["items"]
    assert (row["model"], row["outcome"], row["inputTokens"], row["outputTokens"]) == ("chat", "complete", 10, 5)
    assert (await used["alpha-user"].call("GET", "/requests/nothing")).status_code == 404


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
