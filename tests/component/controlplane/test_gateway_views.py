"""What the data plane reads is what its structs say, and what was spent is the ledger's sum."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from sqlalchemy import insert, update

from controlplane.ids import new_id
from controlplane.schema import budgets, keys, ledger, orgs, publications, users
from controlplane.unit_of_work import unit_of_work
from ias.context import AdmissionMode
from ias.gateway_views import CREDENTIALS, PUBLICATIONS, SPENT, Budget, Credential, Publication, ScopeLimits
from tests.component.controlplane.world import World

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
UNTIL = datetime(2026, 11, 20, 12, tzinfo=UTC)
UNTIL_MS = 1_795_176_000_000


async def decoded(world: World, view: str, kind: type[Any]) -> Any:
    """The only row of a view, as the data plane reads it: jsonb comes as text."""
    (row,) = await world.rows(f"SELECT * FROM {view}")
    fields = dict(row._mapping)
    return msgspec.convert({name: json.loads(v) if isinstance(v, str) and v.startswith("{") else v for name, v in fields.items()}, kind)


async def change(world: World, *statements: Any) -> None:
    async with unit_of_work(world.engine) as uow:
        for statement in statements:
            await uow.execute(statement)


async def test_limits_of_key_user_and_org_arrive_as_they_were_set(world: World) -> None:
    made = await world["alpha-user"].ok("POST", "/key", {"name": "ci"})
    org_id, user_id = world.orgs["alpha"], world["alpha-user"].user_id
    every = {
        "requests_per_minute": 1,
        "requests_per_hour": 2,
        "tokens_per_minute": 3,
        "tokens_per_hour": 4,
        "burst_limit": 5,
        "concurrent_requests": 6,
    }
    key_budget = {"scope": "key", "subject_id": UUID(made["id"]), "org_id": org_id, "user_id": user_id}
    await change(
        world,
        update(keys).values(**every, dry_run=["tokensPerMinute"]),
        update(users).where(users.c.id == user_id).values(requests_per_minute=0),
        update(orgs).where(orgs.c.id == org_id).values(admission_mode="strict", outage_tokens=500),
        insert(budgets).values(**key_budget, period="day", tokens=100, dry_run=True),
        insert(budgets).values(**key_budget, period="month", tokens=1_000, extra_tokens=50, extra_until=UNTIL),
        insert(budgets).values(scope="org", subject_id=org_id, org_id=org_id, period="week", tokens=7),
    )
    credential = await decoded(world, CREDENTIALS, Credential)
    assert credential.key_limits == ScopeLimits(
        **every,
        budgets=(Budget("day", 100), Budget("month", 1_000, 50, UNTIL_MS)),
        dry_run=frozenset({"tokensPerMinute", "budget:day"}),
    )
    assert credential.user_limits == ScopeLimits(requests_per_minute=0)
    assert credential.org_limits == ScopeLimits(budgets=(Budget("week", 7),))
    assert (credential.admission_mode, credential.outage_tokens) == (AdmissionMode.STRICT, 500)


@pytest.mark.parametrize(
    ("tokens", "extra", "ceiling", "expected"),
    [
        (100, 0, None, (100, 0)),
        (100, 50, None, (100, 50)),
        (None, 0, 80, (80, 0)),
        (100, 50, 80, (80, 0)),
        (100, 50, 120, (100, 20)),
        (100, 50, 150, (100, 50)),
        (0, 0, 150, (0, 0)),
    ],
)
async def test_an_orgs_budget_with_its_increase_ends_at_the_ceiling(
    world: World, tokens: int | None, extra: int, ceiling: int | None, expected: tuple[int, int]
) -> None:
    await world["alpha-user"].ok("POST", "/key", {"name": "ci"})
    org_id = world.orgs["alpha"]
    values = {"tokens": tokens, "ceiling_tokens": ceiling, "extra_tokens": extra, "extra_until": UNTIL if extra else None}
    await change(world, insert(budgets).values(scope="org", subject_id=org_id, org_id=org_id, period="month", **values))
    (budget,) = (await decoded(world, CREDENTIALS, Credential)).org_limits.budgets
    assert (budget.tokens, budget.extra_tokens) == expected


async def test_a_publication_arrives_with_its_limits_and_how_its_tokens_are_held(world: World) -> None:
    backend_id, org_id = new_id(), world.orgs["alpha"]
    await world.rows("INSERT INTO backends (id, name, base_url, kind) VALUES (:id, 'b', 'http://b', 'openai') RETURNING id", id=backend_id)
    plain = {
        "id": new_id(),
        "model": "m",
        "org_id": org_id,
        "model_type": "openai",
        "upstream_model": "m",
        "backend_id": backend_id,
        "status": "published",
    }
    await change(world, insert(publications).values(**plain))
    publication = await decoded(world, PUBLICATIONS, Publication)
    assert (publication.limits, publication.admission_mode, publication.context_tokens) == (ScopeLimits(), AdmissionMode.BALANCED, None)
    held = {"admission_mode": "strict", "context_tokens": 4096, "output_cap": 100, "continuous_usage": True}
    limits = {"tokens_per_minute": 9, "tokens_per_hour": 2**53 - 1, "concurrent_requests": 2, "dry_run": ["concurrentRequests"]}
    await change(world, update(publications).values(**held, **limits))
    publication = await decoded(world, PUBLICATIONS, Publication)
    assert publication.limits == ScopeLimits(
        tokens_per_minute=9, tokens_per_hour=2_500_000_000, concurrent_requests=2, dry_run=frozenset({"concurrentRequests"})
    ), "more tokens an hour than a bucket can count is what the version before let through"
    assert {name: getattr(publication, name) for name in held} == held


async def test_the_views_of_the_version_before_see_what_is_set_now(world: World) -> None:
    await world["alpha-user"].ok("POST", "/key", {"name": "ci", "rateLimiting": {"requestsPerMinute": 60, "burstLimit": 5}})
    (row,) = await world.rows("SELECT requests_per_minute, burst_limit FROM gateway_credentials_v1")
    assert (row.requests_per_minute, row.burst_limit) == (60, 5)
    assert await world.rows("SELECT * FROM gateway_publications_v1") == []


def used(org_id: UUID, user_id: UUID, key_id: UUID, at: datetime, tokens: tuple[int, int]) -> dict[str, object]:
    ids = {"event_id": new_id(), "epoch": 0, "org_id": org_id, "user_id": user_id, "key_id": key_id, "publication_id": new_id()}
    what = {"model": "m", "upstream_model": "m", "endpoint": "chat_completions", "stream": False, "outcome": "complete", "http_status": 200}
    counted = {
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
        "cached_input_tokens": 1_000,
        "reasoning_tokens": 1_000,
        "usage_source": "reported",
    }
    times = {"admitted_at": at, "ended_at": at, "held_tokens": 0, "duration_ms": 1}
    return {**ids, **what, **counted, **times, "request_id": "r", "tags": {}}


async def test_spent_is_the_sum_of_the_scope_from_inclusive_until_exclusive(world: World, database_url: str) -> None:
    org, user, key, other = new_id(), new_id(), new_id(), new_id()
    november, tick = OCTOBER + timedelta(days=31), timedelta(milliseconds=1)
    rows = [
        used(org, user, key, OCTOBER - tick, (1_000_000, 0)),
        used(org, user, key, OCTOBER, (1, 2)),
        used(org, user, other, OCTOBER + timedelta(days=3), (10, 20)),
        used(org, other, other, november - tick, (100, 200)),
        used(org, user, key, november, (1_000_000, 0)),
        used(other, user, key, OCTOBER, (1_000_000, 0)),
    ]
    await change(world, insert(ledger).values(rows))
    connection = await asyncpg.connect(database_url)
    try:
        sums = {
            scope: await connection.fetchval(f"SELECT {SPENT}($1, $2, $3, $4)", org, scope, OCTOBER, november)
            for scope in ("org", f"user:{user}", f"key:{key}", f"key:{new_id()}")
        }
        assert list(sums.values()) == [333, 33, 3, 0]
        for scope in ("", "pub:x", "user:x"):
            with pytest.raises(asyncpg.DataError):
                await connection.fetchval(f"SELECT {SPENT}($1, $2, $3, $4)", org, scope, OCTOBER, november)
    finally:
        await connection.close()


async def test_a_sum_beyond_what_a_counter_holds_is_the_largest_that_it_does(world: World) -> None:
    org, largest = new_id(), 2**53 - 1
    await change(world, insert(ledger).values([used(org, org, org, OCTOBER, (largest, largest)) for _ in range(3)]))
    (row,) = await world.rows(f"SELECT {SPENT}(:org, 'org', :since, :until) AS spent", org=org, since=OCTOBER, until=OCTOBER + timedelta(days=1))
    assert row.spent == largest
