"""The transport port, restarts under load: a client that waits for its server sees no call fail."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import grpc
import pytest

from ias.transport import Call, Server, UnaryMethod
from tests.conformance.h2_peer import peer
from tests.conformance.serving import STREAM, UNARY, Machines, Serving, echo, until
from tests.support.http2 import PING, frame, framed

pytestmark = pytest.mark.usefixtures("logged")
WORKERS, RESTARTS = 8, 4
# Calls that the server never took are made again by the client itself; it waits for the next server as long as it takes.
PATIENT = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]


@dataclass
class Tally:
    """What became of calls, and whether to go on."""

    outcomes: Counter[str] = field(default_factory=Counter)
    stopped: threading.Event = field(default_factory=threading.Event)

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] += 1

    @property
    def failed(self) -> dict[str, int]:
        return {outcome: number for outcome, number in self.outcomes.items() if outcome != "ok"}


async def call_on_and_on(client: grpc.aio.Channel, tally: Tally) -> None:
    number = 0
    while not tally.stopped.is_set():
        number += 1
        try:
            answer = await client.unary_unary(UNARY)(b"%d" % number, wait_for_ready=True, timeout=60)
            tally.count("ok" if answer == b"%d" % number else "wrong")
        except grpc.aio.AioRpcError as error:
            tally.count(f"{error.code()}: {error.details()}")


async def converse_on_and_on(client: grpc.aio.Channel, tally: Tally) -> None:
    while not tally.stopped.is_set():
        call = client.stream_stream(STREAM)(wait_for_ready=True, timeout=60)
        try:
            for number in range(5):
                await call.write(b"%d" % number)
                if await call.read() != b"%d" % number:
                    break
            await call.done_writing()
            code = await call.code()
            tally.count("ok" if code is grpc.StatusCode.OK else f"{code}: {await call.details()}")
        except grpc.aio.AioRpcError as error:
            tally.count(f"{error.code()}: {error.details()}")


def call_in_a_thread(address: str, tally: Tally) -> None:
    with grpc.insecure_channel(address, options=PATIENT) as client:
        while not tally.stopped.is_set():
            try:
                answer = client.unary_unary(UNARY)(b"ping", wait_for_ready=True, timeout=60)
                tally.count("ok" if answer == b"ping" else "wrong")
            except grpc.RpcError as error:
                tally.count(str(error))


@contextlib.asynccontextmanager
async def load(server: Server) -> AsyncIterator[Tally]:
    """Clients of all kinds that call until the end."""
    tally = Tally()
    async with grpc.aio.insecure_channel(server.address, options=PATIENT) as client, asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(call_on_and_on(client, tally))
            group.create_task(converse_on_and_on(client, tally))
        for _ in range(2):
            group.create_task(asyncio.to_thread(call_in_a_thread, server.address, tally))
        try:
            yield tally
        finally:
            tally.stopped.set()


async def some_more(tally: Tally) -> None:
    before = tally.outcomes.total()
    await until(lambda: tally.outcomes.total() >= before + 20 * WORKERS, 60)


async def test_restarts_under_load_fail_no_call(serving: Serving, machines: Machines) -> None:
    methods = (UnaryMethod(UNARY, echo), machines.method())
    server = await serving.start(*methods)
    async with load(server) as tally:
        for _ in range(RESTARTS):
            await some_more(tally)
            await server.drain(60)
            server = await serving.start(*methods, address=server.address)
        await some_more(tally)
    assert tally.outcomes["ok"] >= RESTARTS * WORKERS
    # grpc.aio 1.85 loses calls that arrive in the moment in which it begins to stop (CANCELLED, INTERNAL).
    if serving.transport != "grpcio":
        assert tally.failed == {}
        assert {tuple(ends) for ends in machines.ends()} == {("end",)}


async def test_a_drain_tells_the_peer_and_finishes_what_it_began(serving: Serving, machines: Machines) -> None:
    waiting: list[Call] = []

    def hold(calls: Sequence[Call]) -> None:
        waiting.extend(calls)

    server = await serving.start(UnaryMethod(UNARY, hold), machines.method())
    async with peer(server) as client:
        unary, stream = client.open(UNARY), client.open(STREAM)
        await client.send(unary, framed(b"slow"), end=True)
        await client.send(stream, framed(b"one"))
        assert await client.messages(stream, 1) == [b"one"]
        await until(lambda: waiting)
        draining = asyncio.create_task(server.drain(60))
        await client.until(lambda: client.goaway is not None)
        waiting[0].reply(b"done")
        await client.send(stream, framed(b"two"), end=True)
        assert (await client.answer(unary)).messages() == [b"done"]
        assert (await client.answer(stream)).messages() == [b"one", b"two"]
        with pytest.raises(ConnectionError):  # the server closes when nothing runs any more
            await client.until(lambda: False)
        assert client.goaway == 0
    await asyncio.wait_for(draining, 60)
    assert machines.ends() == [["end"]]


async def test_what_a_peer_says_after_the_end_harms_nobody(serving: Serving) -> None:
    server = await serving.start()
    async with peer(server) as client:
        await client.ping()
        draining = asyncio.create_task(server.drain(60))
        with pytest.raises(ConnectionError):
            await client.until(lambda: False)
        client.say(frame(PING, 0, 0, b"anybody?"))
    await asyncio.wait_for(draining, 60)
