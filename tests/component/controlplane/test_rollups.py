"""All rollups tell the same: what the ledger's rows sum up to, whoever wrote them, and whichever is read."""

import itertools
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.repository import Reach
from controlplane.unit_of_work import unit_of_work
from controlplane.usage import ledger_postgres, ledger_sql, rollups
from controlplane.usage.analytics_sql import Filters
from controlplane.usage.dimensions import Dimension
from controlplane.usage.ledger_postgres import PostgresLedger
from controlplane.usage.periods import DAY, QUARTER_HOUR, Grain, Period, begin_of_day
from controlplane.usage.repository import UsageRepository
from controlplane.usage.rollups import ROLLUPS, Rollup
from controlplane.usage.rules import instant
from ias.endpoints import Endpoint
from ias.ids import uuid7
from ias.usage_event import Outcome, RequestRecorded
from tests.component.controlplane.ledger_rows import ledger_of
from tests.component.controlplane.rolled_up import assert_rollups_are_the_ledgers
from tests.support.postgres import as_role
from tests.support.usage_events import ADMITTED_MS, event, some_id

SPAN_MS = 3 * 86_400_000
BY_KEY = ROLLUPS[:2]
"""Those that a version long before knows: the first with rollups."""
BY_DAY = [rollup for rollup in ROLLUPS if rollup.grain not in {Grain.HOUR, Grain.WEEK}]
BY_HOUR = [rollup for rollup in ROLLUPS if rollup.grain is not Grain.WEEK]
"""Those that versions before know."""


def some_events(seed: int, count: int, numbers: range) -> list[RequestRecorded]:
    """Requests of a few orgs, users, keys and models on three days. Equal numbers are the same request, with another end."""
    draw, found = Random(seed), []
    for _ in range(count):
        number = draw.choice(numbers)
        of = Random(number)
        org, user, key, model = of.randrange(3), of.randrange(4), of.randrange(9), of.randrange(3)
        outcome = draw.choice([Outcome.LOST, Outcome.LOST, Outcome.COMPLETE, Outcome.UPSTREAM_ERROR, Outcome.CLIENT_ABORT])
        found.append(
            event(
                number,
                outcome,
                event_id=str(uuid7(ADMITTED_MS + of.randrange(SPAN_MS), number)),
                org_id=some_id(org),
                user_id=some_id(10 + org * 10 + user % 3),
                key_id=some_id(100 + org * 10 + key),
                publication_id=some_id(1000 + model),
                model=f"m{model}",
                endpoint=of.choice([Endpoint.CHAT_COMPLETIONS, Endpoint.EMBEDDINGS]),
                input_tokens=draw.randrange(1000),
                cached_input_tokens=draw.randrange(100),
                output_tokens=draw.randrange(1000),
                reasoning_tokens=draw.randrange(100),
                duration_ms=draw.choice([0, 100, 101, 3_000, 700_000]),
                time_to_first_token_ms=draw.choice([None, 20, 21, 9_000, 60_000]),
            )
        )
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_after_random_events_replacements_and_duplicates_all_are_the_ledgers(database_url: str, seed: int) -> None:
    async with ledger_of(as_role(database_url)) as ledger:
        for batch in range(6):
            await ledger.write(some_events(100 * seed + batch, 60, range(150)), {})
    await assert_rollups_are_the_ledgers(database_url)


@pytest.mark.parametrize(
    ("role", "known", "says"),
    [
        ("owner", BY_KEY, {}),
        ("control plane", BY_KEY, {}),
        ("control plane", BY_DAY, {"ias.writes_every_rollup": "on"}),
        ("control plane", BY_HOUR, {"ias.writes_every_rollup": "on", "ias.writes_rollups_of": "0020"}),
    ],
    ids=["owner, by key", "by key", "by day", "by hour"],
)
async def test_a_worker_of_a_version_before_writes_none_of_the_newer_ones_and_all_are_right(
    database_url: str, monkeypatch: pytest.MonkeyPatch, role: str, known: list[Rollup], says: dict[str, str]
) -> None:
    """Both versions in turn, on the same rows: what one has counted as lost, the other replaces."""
    url = database_url if role == "owner" else as_role(database_url)
    before, now = PostgresLedger(url), PostgresLedger(url)
    try:
        for batch in range(8):
            events = some_events(batch, 40, range(80))
            with monkeypatch.context() as patch:
                if batch % 2:
                    await now.write(events, {})
                    continue
                patch.setattr(ledger_sql, "WRITES_EVERY_ROLLUP", says)
                patch.setattr(ledger_postgres, "roll_up", lambda *changes: {one: rollups.roll_up(*changes)[one] for one in known})
                await before.write(events, {})
                await assert_rollups_are_the_ledgers(database_url)
    finally:
        await before.close()
        await now.close()
    await assert_rollups_are_the_ledgers(database_url)


@dataclass(frozen=True)
class Question:
    period: Period
    dimensions: list[Dimension]
    filters: Filters
    order: str


def some_period(draw: Random) -> Period:
    start = instant(ADMITTED_MS + draw.randrange(SPAN_MS))
    if draw.random() < 0.5:
        start = begin_of_day(start) - timedelta(days=draw.randrange(8))
    length = draw.choice([None, timedelta(0), QUARTER_HOUR, 7 * QUARTER_HOUR, DAY, timedelta(days=2, minutes=1), timedelta(days=9)])
    return Period(start, None if length is None else start + length)


async def answers(repository: UsageRepository, question: Question) -> list[list[object]]:
    """To all three kinds of questions."""
    total, groups = await repository.breakdown(question.period, question.dimensions, question.filters, 3)
    by = question.dimensions[0] if question.dimensions else Dimension.MODEL
    top = await repository.top(question.period, by, question.order, question.filters, 2)
    hours = await repository.series(question.period, 4 * QUARTER_HOUR, question.dimensions, question.filters, 50)
    days = await repository.series(question.period, DAY, question.dimensions, question.filters, 50)
    return [list(total), *([tuple(row) for row in rows] for rows in (itertools.chain(*groups), top, hours, days))]


async def test_the_answer_is_the_same_whichever_rollup_is_read(database_url: str, engine: AsyncEngine) -> None:
    """By all, by those by key alone, and by all without one of them."""
    events = some_events(1, 400, range(400))
    async with ledger_of(database_url) as ledger:
        await ledger.write(events, {})
    choices = [BY_KEY, *([one for one in ROLLUPS if one is not left_out] for left_out in ROLLUPS[2:])]
    draw, of_something = Random(3), 0
    async with unit_of_work(engine) as uow:
        for _ in range(16):
            one = draw.choice(events)
            reach = draw.choice([Reach(None), Reach(UUID(one.org_id)), Reach(UUID(one.org_id), UUID(one.user_id))])
            filters = {name: getattr(one, name.column) for name in Dimension if draw.random() < 0.15}
            dimensions = draw.sample(list(Dimension), draw.randrange(4))
            question = Question(some_period(draw), dimensions, filters, draw.choice(["tokens", "requests", "errors"]))
            expected = await answers(UsageRepository(uow, reach), question)
            of_something += bool(expected[3])
            for choice in choices:
                assert await answers(UsageRepository(uow, reach, choice), question) == expected, (question, [rollup.table for rollup in choice])
    assert of_something > 5


def test_the_shortest_that_tells_what_is_asked_is_the_last() -> None:
    """Of two, where one tells all that the other does: the reader goes from the end."""
    for longer, shorter in itertools.combinations(ROLLUPS, 2):
        if longer.grain is shorter.grain:
            assert not set(longer.dimensions) < set(shorter.dimensions)
