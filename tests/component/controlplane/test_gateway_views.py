"""What the data plane reads is what its structs say, and what was spent is the ledger's sum."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from sqlalchemy import insert, update

from controlplane.ids import new_id
from controlplane.schema import budgets, keys, orgs, publication_tenants, publications, users
from controlplane.unit_of_work import unit_of_work
from ias.context import AdmissionMode
from ias.gateway_views import CREDENTIALS, PUBLICATIONS, SPENT, Budget, Credential, Publication, ScopeLimits
from tests.component.controlplane.ledger_rows import used, write
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


async def test_a_publication_tells_its_protocol_place_and_owner(world: World) -> None:
    backend_id, org_id, publication_id = new_id(), world.orgs["alpha"], new_id()
    await world.rows("INSERT INTO backends (id, name, base_url, kind) VALUES (:id, 'b', 'http://b', 'traditional') RETURNING id", id=backend_id)
    place = {"model_type": "traditional", "require_api_key": False, "public_hostname": "api.acme.example", "external_path": "/acme/iris"}
    plain = {"id": publication_id, "model": "iris", "org_id": org_id, "upstream_model": "iris", "backend_id": backend_id, "status": "published"}
    await change(world, insert(publications).values(**plain, **place))
    await change(world, update(orgs).where(orgs.c.id == org_id).values(requests_per_minute=7, tokens_per_hour=2**53 - 1))
    publication = await decoded(world, PUBLICATIONS, Publication)
    assert {name: getattr(publication, name) for name in place} == place
    assert (publication.owner_org_id, publication.owner_active) == (str(org_id), True)
    assert publication.owner_limits == ScopeLimits(requests_per_minute=7, tokens_per_hour=2_500_000_000)
    await change(world, update(orgs).where(orgs.c.id == org_id).values(status="suspended"))
    assert (await decoded(world, PUBLICATIONS, Publication)).owner_active is False


async def test_one_relation_says_who_may_use_a_publication(world: World) -> None:
    backend_id, publication_id, org_id = new_id(), new_id(), world.orgs["alpha"]
    await world.rows("INSERT INTO backends (id, name, base_url, kind) VALUES (:id, 'b', 'http://b', 'openai') RETURNING id", id=backend_id)
    plain = {"model": "m", "org_id": org_id, "model_type": "openai", "upstream_model": "m", "backend_id": backend_id, "status": "published"}
    await change(world, insert(publications).values(id=publication_id, **plain))
    await change(world, insert(publication_tenants).values(publication_id=publication_id, org_id=org_id))
    for version in (1, 2, 3):
        (row,) = await world.rows(f"SELECT allowed_org_ids FROM gateway_publications_v{version}")
        assert row.allowed_org_ids == [str(org_id)]


async def test_the_views_of_the_version_before_see_what_is_set_now(world: World) -> None:
    await world["alpha-user"].ok("POST", "/key", {"name": "ci", "rateLimiting": {"requestsPerMinute": 60, "burstLimit": 5}})
    (row,) = await world.rows("SELECT requests_per_minute, burst_limit FROM gateway_credentials_v1")
    assert (row.requests_per_minute, row.burst_limit) == (60, 5)
    assert await world.rows("SELECT * FROM gateway_publications_v1") == []


SPENT_OF = f"SELECT {SPENT}($1, $2, $3, $4)"


async def test_spent_is_the_sum_of_the_scope_from_inclusive_until_exclusive(database_url: str) -> None:
    org, user, key, other = new_id(), new_id(), new_id(), new_id()
    november, tick = OCTOBER + timedelta(days=31), timedelta(milliseconds=1)
    await write(
        database_url,
        used(OCTOBER - tick, 1_000_000, org, user, key),
        used(OCTOBER, 3, org, user, key),
        used(OCTOBER + timedelta(days=3), 30, org, user, other),
        used(november - tick, 300, org, other, other),
        used(november, 1_000_000, org, user, key),
        used(OCTOBER, 1_000_000, other, user, key),
    )
    connection = await asyncpg.connect(database_url)
    try:
        sums = [
            await connection.fetchval(SPENT_OF, org, scope, OCTOBER, november) for scope in ("org", f"user:{user}", f"key:{key}", f"key:{new_id()}")
        ]
        assert sums == [333, 33, 3, 0]
        for scope in ("", "pub:x", "user:x", "org:x"):
            with pytest.raises(asyncpg.DataError):
                await connection.fetchval(SPENT_OF, org, scope, OCTOBER, november)
    finally:
        await connection.close()


async def test_spent_is_exact_wherever_the_period_begins_and_ends(database_url: str) -> None:
    """Against the ledger alone: between moments at, before and behind every edge of the rollups."""
    org, chance = new_id(), random.Random(5)
    edges = [OCTOBER + timedelta(minutes=minutes) for minutes in (0, 15, 30, 1_440, 1_455, 2_880, 4_320)]
    moments = [edge + timedelta(milliseconds=ms) for edge in edges for ms in (-1, 0, 1, 123_456)]
    await write(database_url, *(used(moment, 1 << n, org) for n, moment in enumerate(moments)))
    connection = await asyncpg.connect(database_url)
    plain = "SELECT coalesce(sum(input_tokens + output_tokens), 0)::bigint FROM ledger WHERE org_id = $1 AND admitted_at >= $2 AND admitted_at < $3"
    try:
        for _ in range(150):
            begin, end = sorted(chance.choices(moments, k=2))
            expected = await connection.fetchval(plain, org, begin, end)
            assert await connection.fetchval(SPENT_OF, org, "org", begin, end) == expected, (begin, end)
    finally:
        await connection.close()
