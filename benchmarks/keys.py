"""extauth with a million keys: is a request as fast as with ten, and is memory bounded by its setting?

Two processes of extauth on two databases of one PostgreSQL, one with 10 keys, one with 1,000,000; hot requests alternate between them in
blocks (A B A B). Then on the large one: keys it has not seen, keys that nobody has, more keys than memory may hold, revocations.
"""

import asyncio
import json
import os
import random
import statistics
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import grpc

from ias.apikeys import ApiKey, new_key
from protos import CHECK
from tests.component.extauth.test_process import Running, process, until
from tests.component.extauth.world import PEPPER, Org, Truth
from tests.support.checks import Verdict, check_message, read_answer
from tests.support.postgres import TEMPLATE, PostgresServer, running_server
from tests.support.valkey import TestValkey, ValkeyServer, free_port

FEW, MANY = 10, 1_000_000
RECORDS = 20_000
"""IAS_MAX_CREDENTIAL_RECORDS of both."""
RECORD_BYTES = 1_250
"""What the setting says that a record takes."""
BLOCKS, PER_BLOCK = 60, 50
COLD, UNKNOWN, REVOKED = 3_000, 3_000, 10
FILL = 2 * RECORDS
AT_ONCE = 32

KEYS = """
WITH made AS (
  INSERT INTO keys (id, org_id, user_id, name, allowed_models)
  SELECT gen_random_uuid(), $1, $2, 'bulk-' || n, '{}' FROM generate_series($3::int, $4::int) AS n RETURNING id, name)
INSERT INTO credentials (credential_id, key_id, digest, pepper_version, hint)
SELECT lpad(to_hex(substr(name, 6)::int), 8, '0'), id, sha256(name::bytea), 1, 'h' FROM made
"""


@dataclass
class Side:
    """One extauth. `asked` are real keys; the others are there to be many."""

    extauth: Running
    channel: grpc.aio.Channel
    truth: Truth
    asked: list[ApiKey]
    metrics: int

    async def ask(self, key: str) -> tuple[Verdict, float]:
        """One request, and how long it took in milliseconds."""
        message = check_message(key)
        started = time.perf_counter()
        answer = await self.channel.unary_unary(CHECK)(message)
        return read_answer(answer), (time.perf_counter() - started) * 1000

    async def block(self, keys: Sequence[ApiKey], status: int = 200) -> list[float]:
        """Requests made one after the other."""
        times = []
        for key in keys:
            verdict, took_ms = await self.ask(key.text)
            assert verdict.status == status, verdict.body
            times.append(took_ms)
        return times

    def cpu_s(self) -> float:
        threads = Path(f"/proc/{self.extauth.process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    def memory_mb(self) -> float:
        pages = int(Path(f"/proc/{self.extauth.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def reads(self) -> int:
        """How many records it has read from PostgreSQL."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics") as page:
            line = next(line for line in page.read().decode().splitlines() if line.startswith("ias_credential_reads_total "))
        return int(float(line.split()[1]))


async def seed(truth: Truth, count: int, real: int) -> list[ApiKey]:
    """Make one org with a model, limits, a budget and `count` keys; return those whose text is known."""
    org = await truth.org()
    await truth.publish("small", org)
    await truth.limit("orgs", org.id, requests_per_minute=1_000_000_000, tokens_per_minute=1_000_000_000)
    await truth.budget(org, 1 << 50)
    for first in range(0, count - real, 50_000):
        await truth.execute(KEYS, org.id, org.user_id, first, min(first + 50_000, count - real) - 1)
    return await _real_keys(truth, org, real)


async def _real_keys(truth: Truth, org: Org, count: int) -> list[ApiKey]:
    keys = [new_key() for _ in range(count)]
    statement = """
    WITH given AS (SELECT * FROM unnest($3::text[], $4::bytea[]) AS g (credential_id, digest)),
    made AS (INSERT INTO keys (id, org_id, user_id, name, allowed_models)
      SELECT gen_random_uuid(), $1, $2, credential_id, '{}' FROM given RETURNING id, name)
    INSERT INTO credentials (credential_id, key_id, digest, pepper_version, hint)
    SELECT g.credential_id, m.id, g.digest, 1, 'h' FROM given g JOIN made m ON m.name = g.credential_id
    """
    await truth.execute(statement, org.id, org.user_id, [key.credential_id for key in keys], [key.digest(PEPPER) for key in keys])
    return keys


@asynccontextmanager
async def side(postgres: PostgresServer, valkey: TestValkey, home: Path, count: int, real: int) -> AsyncIterator[Side]:
    """An extauth on a database of its own with `count` keys."""
    url = postgres.create(TEMPLATE)
    connection = await asyncpg.connect(url)
    truth = Truth(connection)
    started = time.perf_counter()
    keys = await seed(truth, count, real)
    await connection.execute("ANALYZE")
    print(f"{count} keys written in {time.perf_counter() - started:.0f} s", flush=True)
    home.mkdir()
    environment = {
        "IAS_DATABASE_URL": url,
        "IAS_VALKEY_URL": valkey.url,
        "IAS_MAX_CREDENTIAL_RECORDS": str(RECORDS),
        "IAS_METRICS_ADDRESS": "127.0.0.1:0",
        "IAS_STORE_TIMEOUT_MS": "1000",  # a benchmark of keys: nothing may be decided without the store
        "IAS_DATABASE_TIMEOUT_MS": "5000",
    }
    async with process(home, **environment) as extauth:
        started = time.perf_counter()
        await until(lambda: "serving" in extauth.messages(), 120)
        port = next(line["port"] for line in extauth.log if line["message"] == "metrics")
        assert isinstance(port, int)
        print(f"extauth with {count} keys serves after {time.perf_counter() - started:.1f} s", flush=True)
        async with grpc.aio.insecure_channel(f"unix:{extauth.socket}") as channel:
            yield Side(extauth, channel, truth, keys, port)
    await connection.close()


async def hot(sides: dict[int, Side]) -> dict[int, tuple[float, float, float]]:
    """Return p50 and p99 in milliseconds and CPU in microseconds of a request whose key is in memory."""
    times: dict[int, list[float]] = {count: [] for count in sides}
    cpu = dict.fromkeys(sides, 0.0)
    keys = {count: [random.choice(side.asked[:10]) for _ in range(PER_BLOCK)] for count, side in sides.items()}
    for one in sides.values():
        await one.block(one.asked[:10])
    for _ in range(BLOCKS):
        for count, one in sides.items():
            before = one.cpu_s()
            times[count] += await one.block(keys[count])
            cpu[count] += one.cpu_s() - before
    return {count: (statistics.median(times[count]), p99(times[count]), cpu[count] / (BLOCKS * PER_BLOCK) * 1e6) for count in sides}


def p99(times: Sequence[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


async def fill(one: Side, keys: Sequence[ApiKey]) -> None:
    """Ask with many keys, some at once."""
    for first in range(0, len(keys), AT_ONCE):
        answers = await asyncio.gather(*(one.ask(key.text) for key in keys[first : first + AT_ONCE]))
        assert all(verdict.allowed for verdict, _ in answers)


async def revocation_ms(one: Side, key: ApiKey) -> float:
    """Revoke a key that is in use and ask until it is refused."""
    assert (await one.ask(key.text))[0].allowed
    statement = "UPDATE credentials SET revoked_at = now() WHERE credential_id = $1"
    await one.truth.change(statement, key.credential_id, kind="credential", of=key.credential_id)
    started = time.perf_counter()
    while True:
        if not (await one.ask(key.text))[0].allowed:
            break
        await asyncio.sleep(0.005)
    return (time.perf_counter() - started) * 1000


async def measure(few: Side, many: Side) -> dict[str, object]:
    start_mb = many.memory_mb()
    found = await hot({FEW: few, MANY: many})
    print(f"\n{'keys':>9} {'hot p50 ms':>11} {'p99 ms':>8} {'CPU us':>8}")
    for count, (median, slow, cpu) in found.items():
        print(f"{count:>9} {median:>11.3f} {slow:>8.3f} {cpu:>8.0f}")

    reads = many.reads()
    cold = await many.block(many.asked[10 : 10 + COLD])
    assert many.reads() == reads + COLD
    print(f"cold: p50 {statistics.median(cold):.2f} ms, p99 {p99(cold):.2f} ms, one read of PostgreSQL each")

    reads = many.reads()
    await many.block([new_key() for _ in range(UNKNOWN)], 401)
    unknown_reads = many.reads() - reads
    print(f"unknown: {UNKNOWN} well-formed keys caused {unknown_reads} reads of PostgreSQL")

    await fill(many, many.asked[10 : 10 + RECORDS])
    full_mb = many.memory_mb()
    await fill(many, many.asked[10 + RECORDS : 10 + FILL])
    over_mb = many.memory_mb()
    bound_mb = start_mb + RECORDS * RECORD_BYTES / 1e6
    print(
        f"memory: {few.memory_mb():.0f} MB with {FEW} keys; with {MANY} keys {start_mb:.0f} MB at the start, {full_mb:.0f} MB with {RECORDS} records"
    )
    print(f"        (IAS_MAX_CREDENTIAL_RECORDS, {(full_mb - start_mb) * 1e6 / RECORDS:.0f} bytes each), {over_mb:.0f} MB after {FILL} keys")

    revoked = [await revocation_ms(many, key) for key in many.asked[-REVOKED:]]
    print(f"revoked keys are refused after {max(revoked):.0f} ms at most (median {statistics.median(revoked):.0f} ms)")
    (p50_few, _, cpu_few), (p50_many, p99_many, cpu_many) = found[FEW], found[MANY]
    return {
        "keys": MANY,
        "hot_p50_ratio": round(p50_many / p50_few, 3),
        "hot_cpu_ratio": round(cpu_many / cpu_few, 3),
        "hot_p99_ms": round(p99_many, 2),
        "cold_p99_ms": round(p99(cold), 2),
        "unknown_reads": unknown_reads,
        "rss_mb": round(over_mb),
        "rss_bound_mb": round(bound_mb),
        "revocation_ms_max": round(max(revoked)),
    }


async def run(postgres: PostgresServer, valkey: TestValkey, home: Path) -> None:
    async with side(postgres, valkey, home / "few", FEW, FEW) as few, side(postgres, valkey, home / "many", MANY, 10 + FILL + REVOKED) as many:
        result = await measure(few, many)
    print("RESULT " + json.dumps(result))


def main() -> None:
    valkey = ValkeyServer(port=free_port(), config={"save": "", "appendonly": "no"})
    with tempfile.TemporaryDirectory() as folder, running_server() as postgres, valkey as server:
        asyncio.run(run(postgres, TestValkey(server), Path(folder)))


if __name__ == "__main__":
    main()
