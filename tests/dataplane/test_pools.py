"""Several engines behind one model: shares, fallback without the control plane, limits of the connections; and nothing is lost when they change."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest

from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState, GatewayTarget, GatewayTraffic
from tests.dataplane.conftest import MODEL, Dataplane
from tests.dataplane.stand_ins import Engine, Received, Send, answer_events, answer_json, answer_never, answer_status
from tests.support.waiting import until


async def put(dataplane: Dataplane, engines: dict[str, Engine], *targets: GatewayTarget, traffic: GatewayTraffic | None = None) -> None:
    """Make the engines the targets of the model."""
    backends = tuple(GatewayBackend(name, engine.url) for name, engine in engines.items() if engine.url)
    route = GatewayRoute(MODEL, targets, traffic or GatewayTraffic())
    await dataplane.gateway.apply(GatewayState(backends, (route,)))


async def reached(engine: Engine) -> None:
    """Wait until a request has reached an engine."""
    await until(lambda: calls(engine) > 0)


async def answer_health_only(request: Received, send: Send) -> None:
    await (answer_json if request.target == "/health" else answer_never)(request, send)


def calls(engine: Engine) -> int:
    """Inference requests that reached an engine."""
    return sum(request.method == "POST" for request in engine.received)


@pytest.fixture
async def engines() -> dict[str, Engine]:
    return {name: Engine() for name in ("a", "b", "c")}


async def test_each_target_gets_its_share(dataplane: Dataplane, engines: dict[str, Engine]) -> None:
    async with engines["a"].serve(), engines["b"].serve(), engines["c"].serve():
        await put(dataplane, engines, GatewayTarget("a", 60), GatewayTarget("b", 30), GatewayTarget("c", 10))
        answers = [await dataplane.chat() for _ in range(200)]
    assert {answer.status_code for answer in answers} == {200}
    shares = {name: calls(engine) / 200 for name, engine in engines.items()}
    assert shares == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1}, abs=0.03)


async def test_the_next_priority_takes_over_from_a_dead_engine_and_gives_back(dataplane: Dataplane, engines: dict[str, Engine]) -> None:
    main, spare = engines["a"], engines["b"]
    async with spare.serve():
        async with main.serve():
            await put(dataplane, {"a": main, "b": spare}, GatewayTarget("a"), GatewayTarget("b", priority=1))
            assert {(await dataplane.chat()).status_code for _ in range(20)} == {200}
            assert (calls(main), calls(spare)) == (20, 0)
        # Dead, and no health check has said so yet: what cannot connect goes to the spare at once.
        assert [(await dataplane.chat()).status_code for _ in range(50)] == [200] * 50
        assert (calls(main), calls(spare)) == (20, 50)
        async with main.serve(urlsplit(main.url).port or 0):
            end = time.monotonic() + 30
            while calls(main) == 20:
                assert (await dataplane.chat()).status_code == 200
                assert time.monotonic() < end, "requests did not come back"
                await asyncio.sleep(0.1)


async def test_an_engine_that_says_it_is_ill_gets_nothing_new(dataplane: Dataplane, engines: dict[str, Engine]) -> None:
    """The engine answers, so nothing fails: it is Envoy's own question that moves the requests."""
    ill, well = engines["a"], engines["b"]

    async def answer_ill(request: Received, send: Send) -> None:
        await (answer_status(503, b"") if request.target == "/health" else answer_json)(request, send)

    async with ill.serve(), well.serve():
        await put(dataplane, {"a": ill, "b": well}, GatewayTarget("a"), GatewayTarget("b", priority=1))
        assert (await dataplane.chat()).status_code == 200
        ill.answer = answer_ill
        end = time.monotonic() + 30
        while not calls(well):
            assert (await dataplane.chat()).status_code == 200
            assert time.monotonic() < end, "requests did not move"
            await asyncio.sleep(0.1)


async def test_an_engine_without_a_health_check_takes_its_share(dataplane: Dataplane, engines: dict[str, Engine]) -> None:
    """A provider in the cloud, or a server of KServe v1 alone: that a path is not there says nothing of it."""
    asked = 0

    async def answer(request: Received, send: Send) -> None:
        nonlocal asked
        asked += request.target == "/health"
        await (answer_status(404, b"") if request.target == "/health" else answer_json)(request, send)

    engines["a"].answer = answer
    async with engines["a"].serve(), engines["b"].serve():
        await put(dataplane, engines, GatewayTarget("a"), GatewayTarget("b", priority=1))
        await until(lambda: asked >= 3, 20)
        assert {(await dataplane.chat()).status_code for _ in range(5)} == {200}
    assert (calls(engines["a"]), calls(engines["b"])) == (5, 0)


async def test_with_no_engine_left_the_answer_is_503_at_once(dataplane: Dataplane, engines: dict[str, Engine]) -> None:
    async with engines["a"].serve(), engines["b"].serve():
        await put(dataplane, {name: engines[name] for name in "ab"}, GatewayTarget("a"), GatewayTarget("b", priority=1))
    began = time.monotonic()
    answer = await dataplane.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
    assert time.monotonic() - began < 5


async def test_no_request_is_lost_while_targets_and_weights_change_under_load(dataplane: Dataplane, engines: dict[str, Engine]) -> None:
    statuses: Counter[int] = Counter()
    stop = asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            statuses[(await dataplane.chat()).status_code] += 1

    async with AsyncExitStack() as stack:
        for engine in engines.values():
            await stack.enter_async_context(engine.serve())
        await put(dataplane, engines, GatewayTarget("a"))
        asking = [asyncio.create_task(ask()) for _ in range(4)]
        for targets in (
            (GatewayTarget("a"), GatewayTarget("b")),
            (GatewayTarget("a", 10), GatewayTarget("b", 90)),
            (GatewayTarget("b"), GatewayTarget("c", priority=1)),
            (GatewayTarget("c"),),
            (GatewayTarget("a"), GatewayTarget("b"), GatewayTarget("c")),
        ):
            await put(dataplane, engines, *targets)
        stop.set()
        await asyncio.gather(*asking)
    assert set(statuses) == {200}
    assert all(calls(engine) for engine in engines.values())


async def test_a_stream_ends_normally_when_its_target_is_taken_away(dataplane: Dataplane, engines: dict[str, Engine]) -> None:
    engines["a"].answer = answer_events(20, 0.05)
    async with engines["a"].serve(), engines["b"].serve():
        await put(dataplane, engines, GatewayTarget("a"), GatewayTarget("b", priority=1))
        running = asyncio.create_task(dataplane.chat())
        await reached(engines["a"])
        await put(dataplane, engines, GatewayTarget("b"))
        assert (await running).text == "".join(f"data: {number}\n\n" for number in range(20))


async def test_what_is_too_much_for_a_model_gets_503_and_reaches_no_engine(dataplane: Dataplane, engines: dict[str, Engine]) -> None:
    engines["a"].answer = answer_never
    async with engines["a"].serve():
        await put(dataplane, engines, GatewayTarget("a"), traffic=GatewayTraffic(max_requests=1))
        running = asyncio.create_task(dataplane.chat())
        await reached(engines["a"])
        answer = await dataplane.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
        assert calls(engines["a"]) == 1
        running.cancel()


async def test_what_an_engine_bears_holds_for_all_models_on_it_together(dataplane: Dataplane, engines: dict[str, Engine]) -> None:
    engines["a"].answer = answer_never
    async with engines["a"].serve():
        small = GatewayBackend("a", engines["a"].url, traffic=GatewayTraffic(max_requests=1))
        await dataplane.gateway.apply(GatewayState((small,), (GatewayRoute.to_one(MODEL, "a"), GatewayRoute.to_one("another", "a"))))
        running = asyncio.create_task(dataplane.chat())
        await reached(engines["a"])
        assert (await dataplane.chat("another")).status_code == 503
        assert calls(engines["a"]) == 1
        running.cancel()


@pytest.mark.parametrize("traffic", [GatewayTraffic(silence_timeout_s=1), GatewayTraffic(answer_timeout_s=1)])
async def test_an_engine_that_does_not_answer_in_time_is_given_up(dataplane: Dataplane, engines: dict[str, Engine], traffic: GatewayTraffic) -> None:
    engines["a"].answer = answer_health_only
    async with engines["a"].serve(), engines["b"].serve():
        await put(dataplane, engines, GatewayTarget("a"), GatewayTarget("b", priority=1), traffic=traffic)
        answer = await dataplane.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    assert calls(engines["b"]) == 0, "it may have begun to answer: never tried again"
