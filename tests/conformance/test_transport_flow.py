"""The transport port, flow control: large messages through small windows, and a peer that gives no room is not a peer that costs memory."""

import asyncio
import hashlib
from collections.abc import Sequence

import pytest

from ias.transport import Call, UnaryMethod
from tests.conformance.h2_peer import Peer, peer
from tests.conformance.serving import STREAM, UNARY, Machines, Serving, until
from tests.support.http2 import framed

KIB, MIB = 1024, 1024 * 1024
DEFAULT_WINDOW = 65_535
pytestmark = pytest.mark.usefixtures("logged")


def noise(size: int) -> bytes:
    """Bytes in which a lost or moved piece shows."""
    return hashlib.shake_128(b"noise").digest(size)


@pytest.mark.parametrize(
    ("size", "window"), [(10 * MIB, DEFAULT_WINDOW), (200 * KIB, 1000), (300, 1)], ids=["10 MiB by 65,535", "200 KiB by 1,000", "300 by 1"]
)
async def test_a_message_comes_back_whole_through_a_small_window(serving: Serving, size: int, window: int) -> None:
    server = await serving.start()
    message = noise(size)
    async with peer(server, window) as client:
        answer = await client.unary(UNARY, message)
    assert answer.messages() == [message]
    assert answer.status == "0"


async def test_a_stream_carries_10_mib_each_way(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    messages = [noise(4 * MIB), b"", noise(6 * MIB), b"last"]
    async with peer(server) as client:
        stream = client.open(STREAM)
        for message in messages:
            await client.send(stream, framed(message))
        client.end(stream)
        assert (await client.answer(stream)).messages() == messages
    assert machines.ends() == [["end"]]


async def test_no_byte_is_sent_beyond_the_room_given(serving: Serving) -> None:
    """`h2` itself refuses what is beyond; here also nothing is held back of what is allowed."""
    server = await serving.start()
    expected = framed(noise(5000))
    async with peer(server, window=100) as client:
        client.gives_room = False
        stream = client.open(UNARY)
        await client.send(stream, expected, end=True)
        answer = client.answers[stream]
        given = 100
        await client.until(lambda: len(answer.data) == given)
        for room in (1, 50, 1000):
            client.give(room, stream)
            given += room
            await client.until(lambda: len(answer.data) == given)  # noqa: B023 -- awaited before the next turn
            await client.ping()
            assert len(answer.data) == given
        assert not answer.over
        client.give(len(expected), stream)
        assert (await client.answer(stream)).data == expected


async def test_a_window_of_nothing_holds_the_answer_until_settings_open_it(serving: Serving) -> None:
    server = await serving.start()
    expected = framed(noise(5000))
    async with peer(server, window=0) as client:
        client.gives_room = False
        stream = client.open(UNARY)
        await client.send(stream, expected, end=True)
        answer = client.answers[stream]
        await client.ping()
        assert (len(answer.data), answer.over) == (0, False)
        client.set_window(3000)
        await client.until(lambda: len(answer.data) == 3000)
        client.set_window(1000)  # 2,000 more than that are sent already: the window is below zero
        client.give(1500, stream)
        await client.ping()
        assert len(answer.data) == 3000
        client.give(600, stream)
        await client.until(lambda: len(answer.data) == 3100)
        client.set_window(20_000)
        assert (await client.answer(stream)).data == expected


async def test_who_gives_no_room_holds_up_nobody_else(serving: Serving) -> None:
    """The room of the connection is enough for all, that of one stream is used up."""
    server = await serving.start()
    large = noise(50_000)
    async with peer(server, window=1000) as client:
        client.gives_room = False
        stuck = client.open(UNARY)
        await client.send(stuck, framed(large), end=True)
        await client.until(lambda: len(client.answers[stuck].data) == 1000)
        for number in range(20):
            assert (await client.unary(UNARY, b"%d" % number)).messages() == [b"%d" % number]
        client.set_window(100_000)
        assert (await client.answer(stuck)).messages() == [large]


async def test_streams_share_the_room_of_the_connection(serving: Serving) -> None:
    """Each has room of its own for all of it, together they have 65,535 bytes."""
    server = await serving.start()
    large = noise(30_000)
    async with peer(server, window=1 * MIB) as client:
        client.gives_room = False
        streams = [client.open(UNARY) for _ in range(10)]
        for stream in streams:
            await client.send(stream, framed(large), end=True)
        await client.until(lambda: sum(len(client.answers[stream].data) for stream in streams) == DEFAULT_WINDOW)
        await client.ping()
        assert sum(len(client.answers[stream].data) for stream in streams) == DEFAULT_WINDOW
        client.give(10 * MIB)
        assert [(await client.answer(stream)).messages() for stream in streams] == [[large]] * 10


async def test_a_peer_gets_new_room_only_as_messages_are_taken(serving: Serving, machines: Machines) -> None:
    """A machine whose replies nobody reads: what the peer may send ahead of it is bounded."""
    server = await serving.start(machines.method())
    unit, most, sent = framed(noise(64 * KIB)), 160 * MIB, 0
    async with peer(server, window=0) as client:
        client.gives_room = False
        stream = client.open(STREAM)
        while sent < most and await room_comes(client, stream):
            at = sent % len(unit)
            piece = unit[at : at + client.h2.local_flow_control_window(stream)]
            await client.send(stream, piece)
            sent += len(piece)
        client.cancel(stream)
    assert sent < most


async def room_comes(client: Peer, stream: int) -> bool:
    """Whether the server gives room within a time in which one that reads on would."""
    try:
        async with asyncio.timeout(0.5):
            await client.until(lambda: client.h2.local_flow_control_window(stream) > 0)
    except TimeoutError:
        return False
    return True


async def test_1000_streams_at_once_on_one_connection(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    async with peer(server) as client:
        streams = [client.open(STREAM) for _ in range(1000)]
        for number, stream in enumerate(streams):
            await client.send(stream, framed(b"%d" % number))
        await client.until(lambda: all(client.answers[stream].messages() for stream in streams))
        assert not any(client.answers[stream].over for stream in streams)
        for stream in streams:
            client.end(stream)
        answers = [await client.answer(stream) for stream in streams]
    assert [answer.messages() for answer in answers] == [[b"%d" % number] for number in range(1000)]
    assert machines.ends() == [["end"]] * 1000


async def test_the_limit_of_streams_is_announced(serving: Serving) -> None:
    waiting: list[Call] = []

    def handle(calls: Sequence[Call]) -> None:
        waiting.extend(calls)

    server = await serving.start(UnaryMethod(UNARY, handle), max_streams=10)
    async with peer(server) as client:
        await client.until(lambda: client.h2.remote_settings.max_concurrent_streams == 10)
        streams = [client.open(UNARY) for _ in range(10)]
        for stream in streams:
            await client.send(stream, framed(b""), end=True)
        await until(lambda: len(waiting) == 10)
        for call in waiting:
            call.reply(b"")
        assert [(await client.answer(stream)).status for stream in streams] == ["0"] * 10
