"""The transport port, unary calls."""

import asyncio
from collections.abc import Sequence

import grpc
import pytest

from ias.transport import Call, Status, UnaryMethod
from tests.conformance.serving import UNARY, Logged, Serving, channel, echo, status_of, until

MIB = 1024 * 1024
pytestmark = pytest.mark.usefixtures("logged")


@pytest.mark.parametrize("message", [b"", b"ping", bytes(10 * MIB)], ids=["empty", "small", "10 MiB"])
async def test_a_message_goes_there_and_back(serving: Serving, message: bytes) -> None:
    server = await serving.start()
    async with channel(server) as client:
        assert await client.unary_unary(UNARY)(message) == message


async def test_the_synchronous_client_is_served_too(serving: Serving) -> None:
    server = await serving.start()

    def call() -> bytes:
        with grpc.insecure_channel(server.address) as client:
            answer: bytes = client.unary_unary(UNARY)(b"ping", timeout=10)
        return answer

    assert await asyncio.to_thread(call) == b"ping"


async def test_several_methods_share_a_port(serving: Serving) -> None:
    def shout(calls: Sequence[Call]) -> None:
        for call in calls:
            call.reply(call.message.upper())

    server = await serving.start(UnaryMethod(UNARY, echo), UnaryMethod("/ias.test.Echo/Shout", shout), UnaryMethod("/ias.test.Other/Unary", shout))
    async with channel(server) as client:
        answers = [await client.unary_unary(path)(b"a") for path in (UNARY, "/ias.test.Echo/Shout", "/ias.test.Other/Unary")]
    assert answers == [b"a", b"A", b"A"]


async def test_concurrent_calls_come_in_batches_and_each_gets_its_own_answer(serving: Serving) -> None:
    batches: list[int] = []

    def handle(calls: Sequence[Call]) -> None:
        batches.append(len(calls))
        echo(calls)

    server = await serving.start(UnaryMethod(UNARY, handle))
    sent = [str(number).encode() for number in range(200)]
    async with channel(server) as client:
        assert await asyncio.gather(*(client.unary_unary(UNARY)(message) for message in sent)) == sent
    assert sum(batches) == len(sent)
    assert min(batches) >= 1


async def test_answers_may_come_late_and_in_any_order(serving: Serving) -> None:
    waiting: list[Call] = []
    server = await serving.start(UnaryMethod(UNARY, waiting.extend))
    async with channel(server) as client:
        calls = [client.unary_unary(UNARY)(str(number).encode()) for number in range(20)]
        await until(lambda: len(waiting) == 20)
        for call in reversed(waiting):
            call.reply(call.message * 2)
        assert await asyncio.gather(*calls) == [str(number).encode() * 2 for number in range(20)]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK], ids=lambda status: status.name)
async def test_a_handler_fails_a_call_with_status_and_reason(serving: Serving, status: Status) -> None:
    def handle(calls: Sequence[Call]) -> None:
        for call in calls:
            call.fail(status, "because: ü")

    server = await serving.start(UnaryMethod(UNARY, handle))
    async with channel(server) as client:
        code, details = await status_of(client.unary_unary(UNARY)(b""))
    assert (code.value[0], details) == (status.value, "because: ü")


async def test_only_the_first_answer_counts(serving: Serving) -> None:
    def handle(calls: Sequence[Call]) -> None:
        for call in calls:
            call.reply(b"first")
            call.reply(b"second")
            call.fail(Status.INTERNAL, "third")

    server = await serving.start(UnaryMethod(UNARY, handle))
    async with channel(server) as client:
        assert await client.unary_unary(UNARY)(b"") == b"first"


@pytest.mark.parametrize("path", ["/ias.test.Echo/Nothing", "/ias.test.Nobody/Unary"])
async def test_an_unknown_method_is_unimplemented(serving: Serving, path: str) -> None:
    server = await serving.start()
    async with channel(server) as client:
        assert (await status_of(client.unary_unary(path)(b"")))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_an_exception_is_internal_without_its_text_and_spares_answered_calls(serving: Serving, logged: Logged) -> None:
    waiting: list[Call] = []

    def handle(calls: Sequence[Call]) -> None:
        waiting.extend(calls)
        for call in calls:
            if call.message == b"good":
                call.reply(b"fine")
        if any(call.message == b"bad" for call in calls):
            raise RuntimeError("a secret")

    logged.expected.add("unary handler failed")
    server = await serving.start(UnaryMethod(UNARY, handle))
    async with channel(server) as client:
        good, bad = client.unary_unary(UNARY)(b"good"), client.unary_unary(UNARY)(b"bad")
        assert await good == b"fine"
        assert await status_of(bad) == (grpc.StatusCode.INTERNAL, "internal error")
        assert await client.unary_unary(UNARY)(b"good") == b"fine"


async def test_a_message_above_the_limit_is_refused(serving: Serving) -> None:
    server = await serving.start(max_message_bytes=MIB)
    async with channel(server) as client:
        assert (await status_of(client.unary_unary(UNARY)(bytes(MIB + 1))))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await client.unary_unary(UNARY)(b"still here") == b"still here"


@pytest.mark.parametrize("gone", ["cancelled", "deadline exceeded"])
async def test_an_answer_after_the_peer_has_gone_is_ignored(serving: Serving, gone: str) -> None:
    waiting: list[Call] = []
    server = await serving.start(UnaryMethod(UNARY, waiting.extend))
    async with channel(server) as client:
        call = client.unary_unary(UNARY)(b"", timeout=0.2 if gone == "deadline exceeded" else None)
        await until(lambda: waiting)
        if gone == "cancelled":
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            assert (await status_of(call))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        waiting[0].reply(b"too late")
        waiting[0].fail(Status.INTERNAL, "too late")
        other = client.unary_unary(UNARY)(b"next")
        await until(lambda: len(waiting) == 2)
        waiting[1].reply(b"in time")
        assert await other == b"in time"
