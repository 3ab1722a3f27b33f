"""What Envoy does in each way of following an answer, with our configuration: inline with a mode of the processor's choice, and shadow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState
from protos.ext_proc_pb2 import ProcessingMode
from standalone.engine_simulator.app import Engine
from standalone.engine_simulator.behaviour import Behaviour
from standalone.engine_simulator.http import serve
from standalone.engine_simulator.meters import Entry, Meters, read_journal
from tests.dataplane.conftest import CHAT, MODEL, Dataplane, StartDataplane
from tests.dataplane.processors import FULL_DUPLEX, Follower
from tests.dataplane.stand_ins import GOOD_KEY
from tests.support.waiting import until

STREAMED, BUFFERED = ProcessingMode.STREAMED, ProcessingMode.BUFFERED
ENDLESS = "tokens=100000,pace_ms=10"
START = ["request_headers", "response_headers"]


class Plane:
    """A data plane with a simulated engine and a processor that follows as told."""

    def __init__(self, dataplane: Dataplane, processor: Follower, journal: Path) -> None:
        self.dataplane = dataplane
        self.processor = processor
        self._journal = journal

    def asked(self, simulate: str = "", stream: bool = True) -> dict[str, Any]:
        body = {"model": MODEL, "messages": [], "stream": stream}
        return {"url": CHAT, "json": body, "headers": {"authorization": GOOD_KEY, "x-engine-simulate": simulate}}

    async def ask(self, simulate: str = "", stream: bool = True) -> httpx2.Response:
        return await self.dataplane.client.post(**self.asked(simulate, stream))

    async def engine_entry(self) -> Entry:
        """What the engine says about the one request, when it is over for the engine."""
        await until(lambda: read_journal(self._journal))
        [entry] = read_journal(self._journal)
        return entry

    async def seen(self, last: str) -> list[str]:
        """What the processor saw of the one request, up to its end."""
        try:
            await until(lambda: last in self.processor.seen)
        except TimeoutError:
            raise AssertionError(self.processor.seen[:5] + self.processor.seen[-5:]) from None
        return self.processor.seen


@pytest.fixture
def plane(start_dataplane: StartDataplane, tmp_path: Path) -> Any:
    @asynccontextmanager
    async def start(processor: Follower, **params: Any) -> AsyncIterator[Plane]:
        journal = tmp_path / "journal"
        async with AsyncExitStack() as stack:
            meters = stack.enter_context(contextlib.closing(Meters(journal)))
            engine = Engine((), Behaviour(tokens=10, pace_ms=5), meters)
            server = await stack.enter_async_context(await serve(engine.answer, "127.0.0.1:0"))
            dataplane = await stack.enter_async_context(start_dataplane(processor=processor, **params))
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await dataplane.gateway.apply(GatewayState((GatewayBackend("simulator", url),), (GatewayRoute.to_one(MODEL, "simulator"),)))
            yield Plane(dataplane, processor, journal)

    return start


# --- inline ---


@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
async def test_a_stream_that_is_ended_ends_cleanly_and_the_engine_stops(plane: Any, http2: bool) -> None:
    async with (
        plane(Follower(FULL_DUPLEX, end_after=4)) as running,
        httpx2.AsyncClient(base_url=running.dataplane.envoy.url, http1=not http2, http2=http2, trust_env=False, timeout=20) as client,
        asyncio.timeout(20),
    ):
        response = await client.post(**running.asked(ENDLESS))  # raises if the answer does not end as answers end
        assert response.content.endswith(b"the end")
        entry = await running.engine_entry()
        assert (entry.end, entry.generated < 1000) == ("abort", True)


@pytest.mark.parametrize("mode", [STREAMED, FULL_DUPLEX], ids=["streamed", "full-duplex"])
async def test_a_client_that_leaves_ends_the_processing_and_the_engine_stops(plane: Any, mode: Any) -> None:
    async with plane(Follower(mode)) as running:
        async with running.dataplane.client.stream("POST", **running.asked(ENDLESS)) as response:
            async for _ in response.aiter_bytes():
                break
        assert (await running.engine_entry()).end == "abort"
        seen = await running.seen("gone")
        assert not [message for message in seen if message.endswith(", end")]


@pytest.mark.parametrize("mode", [STREAMED, FULL_DUPLEX], ids=["streamed", "full-duplex"])
@pytest.mark.parametrize("simulate", ["split=7,split_ms=1,tokens=3", "early", "encoding=gzip", "trailers", "tokens=3000,pace_ms=0"])
async def test_whatever_way_an_answer_travels_every_byte_arrives(plane: Any, mode: Any, simulate: str) -> None:
    async with plane(Follower(mode, trailers=True)) as running:
        response = await running.ask(simulate)
        assert response.text.endswith("data: [DONE]\n\n")
        assert response.text.count('"finish_reason":"stop"') == 1
        assert (await running.engine_entry()).end == "stop"


@pytest.mark.parametrize("metering", ["inline", "shadow"])
async def test_trailers_of_an_engine_are_dropped_and_its_answer_ends_like_any_other(plane: Any, metering: str) -> None:
    """Envoy reads no HTTP/1.1 trailers unless told to."""
    async with plane(Follower(STREAMED, trailers=True), metering=metering) as running:
        assert (await running.ask("trailers")).text.endswith("data: [DONE]\n\n")
        await running.seen("response_body, end" + (", observed" if metering == "shadow" else ""))


async def test_a_whole_answer_keeps_its_length_only_if_it_is_buffered(plane: Any) -> None:
    async with plane(Follower(BUFFERED)) as running:
        await running.ask("", stream=False)
        assert running.processor.seen[:3] == [*START, "response_body, end"]


async def test_a_hung_processor_ends_with_the_longest_stream(plane: Any) -> None:
    async with plane(Follower(FULL_DUPLEX, hang_after=3), max_stream_duration_ms=2_000) as running:
        [answer] = await asyncio.gather(running.ask(ENDLESS), return_exceptions=True)
        # Cut; or, on a machine so slow that not even the headers were through, Envoy's own answer.
        assert isinstance(answer, httpx2.RemoteProtocolError) or answer.status_code == 504


async def test_nothing_but_the_longest_stream_ends_a_hung_processor(plane: Any) -> None:
    """`message_timeout` does not hold in FULL_DUPLEX; hence extproc's watchdog."""
    async with plane(Follower(FULL_DUPLEX, hang_after=3), processing_timeout_ms=200) as running:
        asking = asyncio.create_task(running.ask(ENDLESS))
        await until(lambda: running.processor.seen.count("response_body") > 40)  # long after the processing timeout
        assert not asking.done()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


# --- shadow ---


async def test_a_shadow_sees_all_and_changes_nothing(plane: Any) -> None:
    async with plane(Follower(STREAMED, end_after=1), metering="shadow") as running:
        response = await running.ask("", stream=False)
        assert response.json()["usage"]["completion_tokens"] == 10
        assert "content-length" in response.headers
        seen = await running.seen("response_body, end, observed")
        assert seen[:2] == ["request_headers, observed", "response_headers, observed"]


async def test_a_shadow_learns_of_a_client_that_left(plane: Any) -> None:
    async with plane(Follower(STREAMED), metering="shadow") as running:
        async with running.dataplane.client.stream("POST", **running.asked(ENDLESS)) as response:
            async for _ in response.aiter_bytes():
                break
        assert (await running.engine_entry()).end == "abort"
        seen = await running.seen("gone")
        assert not [message for message in seen if ", end" in message]


async def test_without_its_shadow_a_gateway_goes_on(plane: Any) -> None:
    async with plane(Follower(STREAMED), metering="shadow") as running:
        async with running.dataplane.client.stream("POST", **running.asked("tokens=100,pace_ms=10")) as response:
            text = ""
            async for part in response.aiter_text():
                if not text:
                    await running.dataplane.servers["extproc"].drain(0)
                text += part
        assert text.endswith("data: [DONE]\n\n")
        assert (await running.ask()).text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("metering", ["inline", "shadow"])
async def test_what_is_ours_is_taken_from_requests_in_both_profiles(start_dataplane: StartDataplane, metering: Any) -> None:
    async with start_dataplane(processor=Follower(STREAMED), metering=metering) as dataplane:
        assert (await dataplane.chat(headers={"accept-encoding": "gzip, br"})).status_code == 200
        received = dataplane.engine.received[0].headers
        assert not {"authorization", "x-ias-context", "x-ias-model", "accept-encoding"} & received.keys()
