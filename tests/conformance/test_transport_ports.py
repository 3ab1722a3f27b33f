"""What handlers learn of a call beside its message, on both transports alike."""

import asyncio
from collections.abc import Sequence

import pytest

from ias.transport import Call, Stream, StreamMethod, UnaryMethod
from tests.conformance.serving import STREAM, UNARY, Machine, Serving, channel

pytestmark = pytest.mark.usefixtures("logged")
METADATA = (("traceparent", "00-ab-cd-00"), ("x-twice", "1"), ("x-twice", "2"), ("x-binary-bin", b"\0\1"))


async def test_metadata_reaches_calls_and_streams(serving: Serving) -> None:
    heard: list[object] = []

    def handle(calls: Sequence[Call]) -> None:
        for call in calls:
            heard.append(tuple(call.metadata))
            call.reply(b"")

    def open_stream(stream: Stream) -> Machine:
        heard.append(tuple(stream.metadata))
        return Machine(stream)

    server = await serving.start(UnaryMethod(UNARY, handle), StreamMethod(STREAM, open_stream))
    async with channel(server) as client:
        await client.unary_unary(UNARY)(b"", metadata=METADATA)
        await client.unary_unary(UNARY)(b"")
        await client.stream_stream(STREAM)(iter([b""]), metadata=METADATA).read()
    text = METADATA[:3]
    assert heard == [text, (), text]


@pytest.mark.parametrize("seconds", [None, 600.0])
async def test_the_deadline_reaches_calls_and_streams(serving: Serving, seconds: float | None) -> None:
    heard: list[float | None] = []

    def handle(calls: Sequence[Call]) -> None:
        for call in calls:
            heard.append(call.deadline)
            call.reply(b"")

    def open_stream(stream: Stream) -> Machine:
        heard.append(stream.deadline)
        return Machine(stream)

    server = await serving.start(UnaryMethod(UNARY, handle), StreamMethod(STREAM, open_stream))
    clock = asyncio.get_running_loop()
    before = clock.time()
    async with channel(server) as client:
        await client.unary_unary(UNARY)(b"", timeout=seconds)
        await client.stream_stream(STREAM)(iter([b""]), timeout=seconds).read()
    after = clock.time()
    for deadline in heard:
        # Clients round what they send, and a part of the time may have passed before they send it.
        assert deadline is None if seconds is None else deadline is not None and before - 1 <= deadline - seconds <= after + 1
    assert len(heard) == 2
