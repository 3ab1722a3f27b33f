"""What people ask of the ledger: sums within their reach, and one request by its id."""

from typing import Any

import pytest

from tests.component.controlplane.world import World

ROW = """INSERT INTO ledger (admitted_at, event_id, epoch, org_id, user_id, key_id, publication_id, model, upstream_model, endpoint, stream, outcome,
    http_status, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, usage_source, held_tokens, duration_ms, ended_at, request_id)
  SELECT now() - make_interval(days => :days), gen_random_uuid(), 0, orgs.id, users.id, gen_random_uuid(), gen_random_uuid(), :model, :model,
    'chat_completions', true, :outcome, 200, 10, 4, 5, 1, 'reported', 0, 1, now(), :request
  FROM users JOIN orgs ON orgs.id = users.org_id WHERE users.username = :who RETURNING request_id"""


async def request(world: World, who: str, model: str = "chat", outcome: str = "complete", days: int = 0, request_id: str = "r") -> None:
    await world.rows(ROW, who=who, model=model, outcome=outcome, days=days, request=request_id)


@pytest.fixture
async def used(world: World) -> World:
    """Alpha's admin asked `chat` twice and its user `embed` once, long ago too; beta's user asked `chat` once."""
    await request(world, "alpha-admin", request_id="a-1")
    await request(world, "alpha-admin", outcome="client_abort")
    await request(world, "alpha-user", "embed")
    await request(world, "alpha-user", "embed", days=40)
    await request(world, "beta-user", request_id="b-1")
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
