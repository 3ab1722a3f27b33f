"""Eight processes with fifty streams each spend one budget that suffices for a tenth of what they want, at once, on a real Valkey."""

import asyncio
import json
import sys

import pytest

from ratelimit import store_valkey
from ratelimit.periods import period_at
from ratelimit.ports import Admission, BudgetKey, Period
from tests.support.admission_crowd import MEAN_TOKENS, ORG, PIPELINE, STEP, budget
from tests.support.valkey import TestValkey, valkey, valkey_server

__all__ = ["valkey", "valkey_server"]

PROCESSES, STREAMS, REQUESTS = 8, 50, 10
CAPACITY = PROCESSES * STREAMS * REQUESTS * MEAN_TOKENS // 10


async def one_of_the_crowd(url: str, mode: str, seed: int) -> dict[str, object]:
    arguments = [url, mode, *map(str, (seed, STREAMS, REQUESTS, CAPACITY))]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.support.admission_crowd", *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return dict(json.loads(output))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["strict", "balanced", "lenient"])
async def test_a_crowd_spends_no_more_than_the_mode_promises(valkey: TestValkey, mode: str) -> None:
    store = store_valkey.connect(valkey.url, 60_000)
    (decision,) = await store.admit([Admission(ORG, 1, (budget(CAPACITY),), b"")])
    (unseeded,) = decision.unseeded
    await store.seed(unseeded.budget, unseeded.since_ms, 0)
    crowd = await asyncio.gather(*(one_of_the_crowd(valkey.url, mode, seed) for seed in range(PROCESSES)))
    total = {name: sum(one[name] for one in crowd) for name in ("demanded", "admitted", "refused", "spent")}  # type: ignore[misc]
    flights = PROCESSES * STREAMS

    def worst(name: str) -> int:
        """What the requests in flight can have gone too far: no more than the worst of all."""
        return sum(sorted((n for one in crowd for n in one[name]), reverse=True)[:flights])  # type: ignore[attr-defined]

    bound = {"strict": 0, "balanced": flights * (STEP + PIPELINE) + worst("prompts_beyond"), "lenient": worst("beyond")}[mode]
    (state,) = await store.budgets([unseeded.budget])
    await store.aclose()
    assert state is not None
    assert BudgetKey(ORG, "org", Period.MONTH, *period_at(Period.MONTH, unseeded.since_ms)) == unseeded.budget
    assert (state.own, state.held) == (total["spent"], 0)
    overspent = max(0, state.own - CAPACITY)
    print(f"{mode}: budget {CAPACITY}, demanded {total['demanded']}, admitted {total['admitted']} of {PROCESSES * STREAMS * REQUESTS},", end=" ")
    print(f"spent {state.own}, overspent {overspent}, bound {bound}")
    assert total["demanded"] > 5 * CAPACITY
    assert total["refused"] > 0
    assert overspent <= bound
