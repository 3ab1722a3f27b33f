"""What only our own server does: its limits on connections, and its metrics. The limits on frames are unit tests."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ias import telemetry
from ias.transport import StreamMethod, UnaryMethod
from tests.conformance.h2_peer import connect, peer
from tests.conformance.serving import STREAM, UNARY, Logged, Machine, Serving, echo, until
from tests.support.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    block,
    frame,
    framed,
    request_fields,
    settings,
    window_update,
)

pytestmark = pytest.mark.usefixtures("logged")
GREETING = PREFACE + settings() + frame(SETTINGS, ACK, 0)


@pytest.fixture
async def wire(short_path: Path) -> AsyncIterator[Serving]:
    served = Serving("wire", lambda: f"unix:{short_path}/server")
    yield served
    await served.stop()


async def test_one_connection_too_many_is_closed_until_another_ends(wire: Serving) -> None:
    server = await wire.start(max_connections=2)
    async with peer(server) as first:
        async with peer(server) as second:
            await first.ping()
            await second.ping()
            reader, writer = await connect(server)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
            assert (await second.unary(UNARY, b"ping")).messages() == [b"ping"]

        async def comes_in() -> bool:
            async with peer(server) as third:
                try:
                    await third.ping()
                except ConnectionError:
                    return False
                return True

        async with asyncio.timeout(30):
            while not await comes_in():  # noqa: ASYNC110 -- the server may not have heard yet that the second has gone
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("words", [b"", PREFACE], ids=["nothing", "half a greeting"])
async def test_who_does_not_finish_its_greeting_is_closed(wire: Serving, logged: Logged, words: bytes) -> None:
    logged.expected.add("connection closed for an error of its peer")
    server = await wire.start(handshake_s=0.2)
    reader, writer = await connect(server)
    writer.write(words)
    await asyncio.wait_for(reader.read(), 30)
    writer.close()


async def test_who_does_not_answer_a_ping_is_closed(wire: Serving) -> None:
    server = await wire.start(ping_after_s=0.2, ping_timeout_s=0.2)
    reader, writer = await connect(server)
    writer.write(GREETING)
    await asyncio.wait_for(reader.read(), 30)
    writer.close()


async def test_an_idle_connection_is_closed_gently(wire: Serving) -> None:
    server = await wire.start(idle_s=0.2)
    async with peer(server) as client:
        with pytest.raises(ConnectionError):
            await client.until(lambda: False)
        assert client.goaway == 0


async def test_who_does_not_read_from_its_socket_is_not_read_from(wire: Serving) -> None:
    server = await wire.start()
    reader, writer = await connect(server)
    head, size, count = block(request_fields(UNARY)), 16_000, 2_000
    writer.write(GREETING + settings(initial_window_size=1 << 30) + window_update(0, (1 << 31) - 1 - 65_535))
    for number in range(1, 2 * count, 2):
        writer.write(frame(HEADERS, END_HEADERS, number, head) + frame(DATA, END_STREAM, number, framed(bytes(size))))
    counts = server._site.counts  # type: ignore[attr-defined]
    before, most = -1, 0
    while before != counts.bytes_received + telemetry.TRANSPORT_BYTES.labels("received")._value.get():
        before = counts.bytes_received + telemetry.TRANSPORT_BYTES.labels("received")._value.get()
        [connection] = server._site.connections  # type: ignore[attr-defined]
        most = max(most, connection._transport.get_write_buffer_size() + connection._connection._sender.unsent_bytes)
        await asyncio.sleep(0.3)
    assert most < size * count / 4
    async with peer(server) as other:
        assert (await other.unary(UNARY, b"ping")).messages() == [b"ping"]
    # It was all but lost: who reads at last gets every answer.
    async with asyncio.timeout(60):
        await reader.readexactly(size * count)
    writer.close()


async def test_what_happens_is_counted(wire: Serving) -> None:
    def counted() -> dict[str, float]:
        samples = [sample for metric in telemetry.REGISTRY.collect() if metric.name.startswith("ias_transport_") for sample in metric.samples]
        return {f"{sample.name}{sorted(sample.labels.values())}": sample.value for sample in samples if not sample.name.endswith("_created")}

    server = await wire.start(UnaryMethod(UNARY, echo), StreamMethod(STREAM, Machine))
    before = counted()
    async with peer(server) as client:
        for _ in range(3):
            await client.unary(UNARY, b"ping")
        stream = client.open(STREAM)
        await client.send(stream, framed(b"a") + framed(b"b"))
        await client.messages(stream, 2)
        await client.unary("/ias.test.Nobody/Nothing", b"")
        await until(lambda: counted()["ias_transport_streams_open[]"] == 1)
        assert counted()["ias_transport_connections[]"] == 1
    await server.drain(0)
    after = counted()
    grown = {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}
    assert grown.pop("ias_transport_bytes_total['received']") > 100
    assert grown.pop("ias_transport_bytes_total['sent']") > 100
    assert grown == {
        "ias_transport_streams_total['unary']": 3,
        "ias_transport_streams_total['stream']": 1,
        "ias_transport_messages_total['received']": 5,
        "ias_transport_messages_total['sent']": 5,
        "ias_transport_errors_total['unimplemented']": 1,
    }
