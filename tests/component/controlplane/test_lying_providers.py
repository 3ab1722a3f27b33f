"""Providers that lie, drag and break off: the registry stays right, and the API goes on answering (issue: must show 5)."""

import asyncio
import contextlib
import gzip
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fastapi import FastAPI

from controlplane.backends.credentials import CredentialFolder
from controlplane.backends.health import Thresholds
from controlplane.backends.ports import Intervals
from controlplane.backends.prober_http import HttpProber
from controlplane.backends.probing import BackendProber
from controlplane.egress.egress_http import HttpEgress
from tests.component.controlplane.test_egress import LOOPBACK, Names, drips, endless_beginnings, endless_body, endless_headers, silent
from tests.component.controlplane.world import World
from tests.support.stranger import Answering, Stranger, answer, stranger_running

PROBE_S = 1.0
INTERVALS = Intervals(probe=0.05, discovery=0.05)


def models(*names: object) -> bytes:
    return answer(200, json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode())


TRUTH = models("chat", "embed")
LIES: dict[str, tuple[bytes | Answering, str]] = {
    "silent": (silent, "no answer within"),
    "drips": (drips, "no answer within"),
    "never begins": (endless_beginnings, "no answer within"),
    "endless body": (endless_body, "no answer within|more than"),
    "endless headers": (endless_headers, "GET /v1/models"),
    "huge": (answer(200, b'{"data": [' + b" " * (9 << 20) + b"]}"), "more than 8388608 bytes|no answer within"),
    "a bomb": (answer(200, gzip.compress(TRUTH), "content-encoding: gzip"), "a compressed answer"),
    "redirect inside": (answer(302, b"", "location: http://169.254.169.254/latest/meta-data"), "status 302"),
    "no JSON": (answer(200, b"<html>"), "not a list of models"),
    "JSON cut off": (answer(200, b'{"data": [{"id": "ch'), "not a list of models"),
    "deep JSON": (answer(200, b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "not a list of models"),
    "not UTF-8": (answer(200, b'{"data": [{"id": "\xff"}]}'), "not a list of models"),
    "wrong types": (answer(200, b'{"data": [{"id": 7}]}'), "has no `id`"),
    "wrong shape": (answer(200, b'[{"id": "chat"}]'), "not a list of models"),
    "a NUL": (answer(200, rb'{"data": [{"id": "chat\u0000"}]}'), "1 to 256 characters"),
    "no name": (models(""), "1 to 256 characters"),
    "a name of 7 MB": (models("x" * 7_000_000), "1 to 256 characters|no answer within"),
    "too many": (models(*range(0), *(f"m{number}" for number in range(20_001))), "more than 20000 models|no answer within"),
    "half an answer": (b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n{", "GET /v1/models"),
    "not HTTP": (b"\x16\x03\x01\x00\x00", "GET /v1/models"),
    "nothing": (b"", "GET /v1/models"),
}


@dataclass
class Provider:
    """Healthy by word; its list of models is what a test says."""

    stranger: Stranger
    list_of_models: bytes | Answering = TRUTH
    health: Callable[[], bytes] = field(default=lambda: answer(200))

    async def answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/health":
            writer.write(self.health())
        elif isinstance(self.list_of_models, bytes):
            writer.write(self.list_of_models)
        else:
            await self.list_of_models(path, writer)


@contextlib.asynccontextmanager
async def provider_running() -> AsyncIterator[Provider]:
    async with stranger_running() as stranger:
        provider = Provider(stranger)
        stranger.answers = provider.answer
        yield provider


@pytest.fixture
def names() -> Names:
    return Names(["127.0.0.1"])


@pytest.fixture
def prober(world: World, app: FastAPI, names: Names) -> BackendProber:
    """The background's, over names that a test moves, beside the API's own."""
    runtime = world.runtime
    http = HttpProber(HttpEgress(names, LOOPBACK), CredentialFolder(None), PROBE_S)
    app.state.runtime = replace(runtime, probing=replace(runtime.probing, prober=http, intervals=INTERVALS, thresholds=Thresholds(2, 2)))
    return BackendProber(world.engine, world.runtime.probing, lambda: None)


def _name(lie: str) -> str:
    return lie.lower().replace(" ", "-")


async def register(world: World, name: str, provider: Provider) -> Any:
    return await world["root"].ok("POST", "/backend", {"name": name, "baseUrl": f"http://{name}.test:{provider.stranger.port}"})


async def known_of(world: World) -> dict[str, str]:
    return {row.upstream_model: row.status for row in await world.rows("SELECT upstream_model, status FROM catalog_models")}


async def view(world: World, name: str) -> Any:
    return await world["root"].ok("GET", f"/backend/{name}")


async def becomes(world: World, name: str, health: str) -> None:
    async with asyncio.timeout(20):
        while (await view(world, name))["health"] != health:  # noqa: ASYNC110 -- it happens in the background and has no event
            await asyncio.sleep(0.02)


async def test_a_lie_makes_a_provider_unhealthy_and_takes_nothing_from_the_catalog(world: World, prober: BackendProber) -> None:
    """All liars at once, each probed until it is down, and until it has come back to the truth."""
    async with contextlib.AsyncExitStack() as stack:
        liars = {lie: await stack.enter_async_context(provider_running()) for lie in LIES}
        for lie, provider in liars.items():
            await register(world, _name(lie), provider)
            provider.list_of_models, _ = LIES[lie]
        for _ in range(4):
            await prober.probe_all()
        catalog = await world.rows(
            "SELECT b.name, array_agg(c.upstream_model || ' ' || c.status) AS models"
            " FROM catalog_models c JOIN backends b ON b.id = c.backend_id GROUP BY 1"
        )
        for lie, (_, reason) in LIES.items():
            found = await view(world, _name(lie))
            assert (found["health"], found["models"]) == ("unhealthy", ["chat", "embed"]), lie
            assert any(part in found["healthReason"] for part in reason.split("|")), (lie, found["healthReason"])
            liars[lie].list_of_models = TRUTH
        assert {tuple(sorted(row.models)) for row in catalog} == {("chat active", "embed active")}
        for _ in range(2):
            await prober.probe_all()
        assert {one["health"] for one in (await world["root"].ok("GET", "/backend"))["items"]} == {"healthy"}


async def test_a_list_with_a_name_twice_is_taken_once(world: World, prober: BackendProber) -> None:
    async with provider_running() as provider:
        provider.list_of_models = models("chat", "chat", "embed")
        assert (await register(world, "stutters", provider))["models"] == ["chat", "embed"]


async def test_a_name_that_moves_inside_is_not_called_and_leaves_the_gateway_at_once(world: World, prober: BackendProber, names: Names) -> None:
    told: list[str] = []
    prober = BackendProber(world.engine, world.runtime.probing, lambda: told.append("denial"))
    async with provider_running() as provider:
        await register(world, "rebinds", provider)
        before = len(provider.stranger.heads)
        names.answers = [Names(["169.254.169.254"]).answers[0]]
        await prober.probe_all()
        found = await view(world, "rebinds")
        assert (found["health"], told, len(provider.stranger.heads)) == ("unhealthy", ["denial"], before)
        assert found["healthReason"].startswith("egress_denied: 'rebinds.test' resolves to 169.254.169.254")
        assert await known_of(world) == {"chat": "active", "embed": "active"}
        await prober.probe_all()
        assert told == ["denial"], "once for each change"


async def test_a_provider_that_flaps_does_not_flap_here(world: World, prober: BackendProber) -> None:
    async with provider_running() as provider:
        await register(world, "flaps", provider)
        answers = [answer(503), answer(200)]
        changes = 0
        before = "healthy"
        for turn in range(20):
            provider.health = lambda turn=turn: answers[turn % 2]  # type: ignore[misc]
            provider.list_of_models = models() if turn % 2 else TRUTH
            await prober.probe_all()
            changes += before != (before := (await view(world, "flaps"))["health"])
        assert changes == 0
        assert (await view(world, "flaps"))["availability"] == pytest.approx(11 / 21)


async def test_ten_thousand_models_come_and_are_kept(world: World, prober: BackendProber) -> None:
    async with provider_running() as provider:
        provider.list_of_models = models(*(f"model-{number:05}" for number in range(10_000)))
        began = time.monotonic()
        made = await register(world, "large", provider)
        assert len(made["models"]) == len(await known_of(world)) == 10_000
        print(f"10,000 models registered in {time.monotonic() - began:.2f} s")


async def test_among_liars_the_truth_is_known_soon_and_the_api_answers(world: World, prober: BackendProber) -> None:
    """Twenty providers that hang or never end, one large one, one honest one that goes down and comes back."""
    async with provider_running() as liar, provider_running() as honest, provider_running() as large:
        for number in range(20):
            await register(world, f"liar-{number}", liar)
        await register(world, "honest", honest)
        large.list_of_models = models(*(f"model-{number:05}" for number in range(5_000)))
        await register(world, "large", large)
        ways = [silent, drips, endless_body, endless_headers]
        turn = iter(range(10**9))

        async def any_lie(path: str, writer: asyncio.StreamWriter) -> None:
            await ways[next(turn) % len(ways)](path, writer)

        liar.list_of_models = any_lie
        running = asyncio.create_task(prober.run())
        latencies: list[float] = []

        async def ask() -> None:
            while True:
                began = time.monotonic()
                await view(world, "honest")
                latencies.append(time.monotonic() - began)
                await asyncio.sleep(0.01)

        asking = asyncio.create_task(ask())

        try:
            began = time.monotonic()
            honest.health = lambda: answer(503)
            await becomes(world, "honest", "unhealthy")
            down = time.monotonic() - began
            honest.health = lambda: answer(200)
            await becomes(world, "honest", "healthy")
        finally:
            for task in (running, asking):
                task.cancel()
            await asyncio.gather(running, asking, return_exceptions=True)
        up = time.monotonic() - began - down
        median, p99 = statistics.median(latencies), statistics.quantiles(latencies, n=100)[98]
        print(f"down after {down:.2f} s, up after {up:.2f} s; the API's median {median * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")
        assert (await known_of(world))["chat"] == "active"
        assert median < 1.0, "nobody holds the loop up, though the liars run in it, too"
    turns = {row.name: row.health for row in await world.rows("SELECT name, health FROM backends")}
    assert turns["honest"] == "healthy"


async def test_of_two_processes_one_takes_a_turn(world: World, prober: BackendProber) -> None:
    async with provider_running() as provider:
        await register(world, "shared", provider)
        slow = replace(world.runtime.probing, intervals=Intervals(60, 60))
        await world.rows("UPDATE backends SET next_probe_at = now(), next_discovery_at = now() RETURNING id")
        both = [BackendProber(world.engine, slow, lambda: None) for _ in range(2)]
        taken = [len(turns) for turns in await asyncio.gather(*(one._take(10) for one in both for _ in range(5)))]
        assert sum(taken) == 1, "whoever came first"
        await world.rows("UPDATE backends SET next_probe_at = now() - interval '1 second' RETURNING id")
        assert [len(await one._take(10)) for one in both] == [1, 0]
