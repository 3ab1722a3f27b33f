"""Does a limit of tokens per minute let coding agents use it? They ask for 32k tokens of output, use 400 on average, and take a minute.

More agents than the limit feeds ask again and again, as their SDKs do when they are refused. After a warm-up, the tokens that were
charged in whole minutes are compared with the limit. In real time: how much is held depends on how long a stream runs. Admissions that
were decided without the store (its deadline is 20 ms, and a busy machine misses it) are told: with many of them it is not the limit that is measured.
"""

import argparse
import asyncio
import json
import random
import statistics
import time
import urllib.request
from collections import Counter

import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos import ground, load
from tests.chaos.load import Outcome, Wish
from tests.support.postgres import run_apart

MAX_TOKENS = 32_000
MEAN_OUTPUT = 400
PACE_MS = 150
PROMPT_WORDS = 1_000
PROMPT = PROMPT_WORDS + 4
TOKENS_PER_MINUTE = 200_000
CROWD = 2.0
"""Agents at once, as a multiple of those that the limit feeds."""
ASK_AGAIN_S = 2.0

_CHARGED = """
SELECT coalesce(sum(input_tokens + output_tokens), 0), count(*) FROM ledger
WHERE org_id = $1::uuid AND ended_at >= to_timestamp($2) AND ended_at < to_timestamp($3)
"""


async def charged(database_url: str, org_id: str, since: float, until: float) -> tuple[int, int]:
    """Tokens, and requests, that ended in a time (wall clock, seconds)."""
    connection = await asyncpg.connect(database_url)
    try:
        row = await connection.fetchrow(_CHARGED, org_id, since, until)
        return int(row[0]), int(row[1])
    finally:
        await connection.close()


def fallbacks(service: ground.Ground) -> int:
    with urllib.request.urlopen(service.stack.ready["metrics_urls"]["extauth"]) as page:
        metrics = {family.name: family for family in text_string_to_metric_families(page.read().decode())}
    return round(metrics["ias_store_fallbacks"].samples[0].value)


async def agent(gateway: str, wish: Wish, end: float, rng: random.Random, outcomes: list[Outcome]) -> None:
    """Ask, work, ask again, until the end."""
    await asyncio.sleep(rng.uniform(0, 20))
    while time.monotonic() < end:
        tokens = min(MAX_TOKENS, max(20, round(rng.expovariate(1 / MEAN_OUTPUT))))
        one = Wish(wish.model, wish.api_key, simulate=f"tokens={tokens},pace_ms={PACE_MS}", body=wish.body, patience_s=3_600)
        while time.monotonic() < end:
            outcome = await load.ask(gateway, one)
            outcomes.append(outcome)
            if outcome.status == 200:
                break
            await asyncio.sleep(rng.uniform(0.5, 1.5) * ASK_AGAIN_S)


async def crowd(gateway: str, wish: Wish, agents: int, seconds: float) -> list[Outcome]:
    outcomes: list[Outcome] = []
    end, rng = time.monotonic() + seconds, random.Random(7)
    tasks = [asyncio.create_task(agent(gateway, wish, end, random.Random(rng.random()), outcomes)) for _ in range(agents)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agents", description=__doc__)
    parser.add_argument("--warm-up", type=float, default=150, help="seconds before the limit's own burst is used up and lengths are learned")
    parser.add_argument("--minutes", type=int, default=3)
    parser.add_argument("--mode", default="balanced")
    arguments = parser.parse_args()
    each = PROMPT + MEAN_OUTPUT
    fed = TOKENS_PER_MINUTE / each * (MEAN_OUTPUT * PACE_MS / 60_000)
    agents = round(CROWD * fed)
    with ground.running() as service:
        tenant = service.world.tenant()
        limits = {"admissionMode": arguments.mode, "tokensPerMinute": TOKENS_PER_MINUTE}
        service.world.admin.call("PUT", f"/api/org/{tenant.org_id}/limits", json=limits)
        model = service.publish(tenant, continuousUsage=True)
        messages = [{"role": "user", "content": " ".join(["change"] * PROMPT_WORDS)}]
        wish = Wish(model, tenant.api_key, body={"messages": messages, "max_tokens": MAX_TOKENS})
        print(
            f"{agents} agents, {TOKENS_PER_MINUTE} tokens per minute feed {fed:.0f}; {arguments.warm_up:g} s and {arguments.minutes} minutes",
            flush=True,
        )
        began = time.time()
        outcomes = asyncio.run(crowd(service.gateway, wish, agents, arguments.warm_up + 60 * arguments.minutes))
        time.sleep(5)
        shares = []
        for minute in range(arguments.minutes):
            since = began + arguments.warm_up + 60 * minute
            tokens, requests = run_apart(charged(service.database_url, tenant.org_id, since, since + 60))
            shares.append(tokens / TOKENS_PER_MINUTE)
            print(f"minute {minute + 1}: {tokens} tokens of {requests} requests, {shares[-1]:.1%} of the limit")
        in_all, _ = run_apart(charged(service.database_url, tenant.org_id, began, time.time()))
        allowed = TOKENS_PER_MINUTE * (1 + (time.time() - began) / 60)
        print(f"from the beginning {in_all} tokens; burst and refill together allow {allowed:.0f}")
        alone = fallbacks(service)
    statuses = Counter(outcome.code or str(outcome.status) for outcome in outcomes)
    print(f"answers: {dict(statuses)}; {alone} admissions were decided without the store")
    print("RESULT " + json.dumps({"share_of_limit": round(statistics.mean(shares), 3), "mode": arguments.mode, "without_store": alone}))


if __name__ == "__main__":
    main()
