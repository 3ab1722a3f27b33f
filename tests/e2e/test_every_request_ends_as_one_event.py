"""Every admitted request has exactly one event, whatever happens; complete streams agree with the engine's own counters."""

import asyncio
import random

import httpx2
import openai
import pytest

from tests.e2e.world import CHAT, World, simulate, until
from tests.support.stack import Stack

REQUESTS, RESETS = 200, 5


async def attempt(client: openai.AsyncOpenAI, model: str, options: dict[str, str], cut_after: int | None) -> bool:
    """Make one streamed request, cut by us after some chunks if so wanted; True if its answer ended as answers end."""
    finished, seen = False, 0
    stream = await client.chat.completions.create(model=model, messages=CHAT, stream=True, extra_headers=options)
    async with stream:
        async for chunk in stream:
            seen += 1
            finished = finished or bool(chunk.choices and chunk.choices[0].finish_reason)
            if seen == cut_after:
                return False
    return finished


async def one(client: openai.AsyncOpenAI, model: str, number: int, cut_after: int | None, gate: asyncio.Semaphore) -> bool:
    """Make a request as a patient client does: while the gateway says 503, try again."""
    reset = {"reset_after": 3 + number} if number < RESETS else {}
    async with gate:
        while True:
            try:
                return await attempt(client, model, simulate(tokens=20, pace_ms=10, **reset), cut_after)
            except openai.InternalServerError:
                await asyncio.sleep(0.2)
            except (openai.APIError, httpx2.HTTPError):
                return False  # reset by the engine, or cut with extproc


def test_aborts_resets_and_a_killed_extproc(world: World, stack: Stack | None) -> None:
    if stack is None:
        pytest.skip("kills a process: only with a service that was started here")
    tenant = world.tenant()
    model = world.publish(tenant, upstream="sim-small")
    rng = random.Random(7)
    cuts = [rng.randint(1, 18) if number % 3 == 2 else None for number in range(REQUESTS)]
    admitted_before = world.admissions()
    prompts_before, generated_before = world.engine_tokens("sim-small")

    async def everything() -> list[bool]:
        gate = asyncio.Semaphore(12)
        async with world.async_client(tenant.api_key) as client:
            tasks = [asyncio.create_task(one(client, model, n, cuts[n], gate)) for n in range(REQUESTS)]
            for count, done in enumerate(asyncio.as_completed(tasks)):
                await done
                if count == REQUESTS // 2:
                    stack.kill("extproc")
            return [task.result() for task in tasks]

    complete = asyncio.run(everything())
    admitted = world.admissions() - admitted_before
    until(lambda: world.totals(tenant)["requests"] >= admitted, 60, every_s=0.5)
    usage = world.admin.call("GET", f"/api/analytics/org/{tenant.org_id}")
    by_outcome = {row["outcome"]: row for row in usage["byOutcome"]}
    counts = {outcome: row["requests"] for outcome, row in by_outcome.items()}
    print(f"\n{REQUESTS} wanted, {admitted} admitted, {sum(complete)} complete for the client; ledger: {counts}")
    assert usage["totals"]["requests"] == admitted >= REQUESTS, "exactly one event for every admitted request"
    assert by_outcome["complete"]["requests"] >= sum(complete) > REQUESTS // 2
    assert by_outcome["complete"]["outputTokens"] == 20 * by_outcome["complete"]["requests"]
    assert by_outcome["lost"]["requests"] > 0, "extproc was killed with streams open"
    prompts, generated = world.engine_tokens("sim-small")
    seen = [by_outcome[outcome] for outcome in ("complete", "client_abort", "upstream_error") if outcome in by_outcome]
    assert sum(row["outputTokens"] for row in seen) <= generated - generated_before
    assert by_outcome["complete"]["inputTokens"] <= prompts - prompts_before


def test_complete_streams_equal_the_engines_counters(world: World) -> None:
    tenant = world.tenant()
    model = world.publish(tenant, upstream="sim-small")
    prompts_before, generated_before = world.engine_tokens("sim-small")

    async def everything() -> None:
        async with world.async_client(tenant.api_key) as client:

            async def ask(n: int) -> None:
                body = {"model": model, "messages": CHAT, "extra_headers": simulate(tokens=5 + n, pace_ms=1)}
                if n % 2:
                    async for _ in await client.chat.completions.create(stream=True, **body):  # type: ignore[call-overload]
                        pass
                else:
                    await client.chat.completions.create(**body)  # type: ignore[call-overload]

            await asyncio.gather(*(ask(n) for n in range(40)))

    asyncio.run(everything())
    until(lambda: world.totals(tenant)["requests"] == 40)
    totals = world.totals(tenant)
    prompts, generated = world.engine_tokens("sim-small")
    assert (totals["inputTokens"], totals["outputTokens"]) == (prompts - prompts_before, generated - generated_before)
    assert totals["outputTokens"] == sum(5 + n for n in range(40))
