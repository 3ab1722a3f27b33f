"""The transport port, bidirectional streams: each machine hears of exactly one end, whatever happens first."""

import asyncio
import random
from collections.abc import Sequence

import grpc
import pytest

from ias.transport import Status, Stream, StreamMethod
from tests.conformance.serving import STREAM, Logged, Machine, Machines, Serving, channel, kill, start_python, status_of, until

pytestmark = pytest.mark.usefixtures("logged")
EOF = grpc.aio.EOF
OK = (grpc.StatusCode.OK, "")
INTERNAL = (grpc.StatusCode.INTERNAL, "internal error")


async def read_all(call: grpc.aio.StreamStreamCall) -> list[bytes]:
    messages = []
    while (message := await call.read()) is not EOF:
        messages.append(message)
    return messages


async def test_ping_pong(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()
        for number in range(50):
            await call.write(b"%d" % number)
            assert await call.read() == b"%d" % number
        await call.done_writing()
        assert await read_all(call) == []
        assert await status_of(call) == OK
    assert machines.ends() == [["end"]]


async def test_a_message_may_have_no_reply_or_many(serving: Serving, machines: Machines) -> None:
    def answer(_: Machine, message: bytes) -> Sequence[bytes]:
        return [b"%d" % number for number in range(int(message))]

    server = await serving.start(machines.method(answer=answer))
    async with channel(server) as client:
        call = client.stream_stream(STREAM)(iter([b"0", b"3", b"0", b"200"]))
        assert await read_all(call) == [b"%d" % number for number in [*range(3), *range(200)]]


async def test_messages_that_nobody_waits_for_keep_their_order(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()
        await until(lambda: machines)
        machines[0].out.send([b"a", b"b"])
        await call.write(b"c")
        assert [await call.read() for _ in range(3)] == [b"a", b"b", b"c"]
        machines[0].out.send([b"d"])
        assert await call.read() == b"d"
        await call.done_writing()
        assert await status_of(call) == OK


@pytest.mark.parametrize(("status", "reason"), [(Status.OK, ""), (Status.UNAVAILABLE, "going away")], ids=["OK", "UNAVAILABLE"])
async def test_the_server_ends_in_reply_to_a_message(serving: Serving, machines: Machines, status: Status, reason: str) -> None:
    def answer(machine: Machine, _: bytes) -> Sequence[bytes]:
        machine.out.send([b"first"])
        machine.out.end(status, reason)
        machine.out.send([b"never"])
        machine.out.end(Status.INTERNAL, "never")
        return [b"last"]

    server = await serving.start(machines.method(answer=answer))
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()
        await call.write(b"")
        messages = [await call.read(), await call.read()]
        code, details = await status_of(call)
    assert (messages, code.value[0], details) == ([b"first", b"last"], status.value, reason)
    assert machines.ends() == [[]]
    machines[0].out.send([b"nobody listens"])


async def test_the_server_ends_while_nothing_happens(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()
        await until(lambda: machines)
        machines[0].out.send([b"goodbye"])
        machines[0].out.end()
        assert await read_all(call) == [b"goodbye"]
        assert await status_of(call) == OK
    assert machines.ends() == [[]]


async def test_after_the_clients_half_close_the_farewell_arrives(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method(farewell=[b"bye", b"bye bye"]))
    async with channel(server) as client:
        call = client.stream_stream(STREAM)(iter([b"hello"]))
        assert await read_all(call) == [b"hello", b"bye", b"bye bye"]
        assert await status_of(call) == OK
    assert machines.ends() == [["end"]]


CANCEL_POINTS = ["at once", "when open", "after a write", "after a reply", "with replies unread", "after the half-close"]


@pytest.mark.parametrize("point", CANCEL_POINTS)
async def test_a_cancel_is_heard_once(serving: Serving, machines: Machines, point: str) -> None:
    def answer(_: Machine, message: bytes) -> Sequence[bytes]:
        return [message] * (500 if point == "with replies unread" else 1)

    server = await serving.start(machines.method(answer=answer))
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()
        if point != "at once":
            await until(lambda: machines)
        if point in CANCEL_POINTS[2:]:
            await call.write(bytes(100_000))
        if point in CANCEL_POINTS[3:]:
            await call.read()
        if point == "after the half-close":
            await call.done_writing()
        call.cancel()
        # Served later than the cancelled call: whatever the server does with that one has begun by now.
        await read_all(client.stream_stream(STREAM)(iter([b""])))
    await until(lambda: all(machines.ends()))
    ends = [ends for ends in machines.ends() if ends != ["end"]]
    if point in {"at once", "after the half-close"}:
        assert ends in ([], [["abort"]])
    else:
        assert ends == [["abort"]]


async def test_cancels_at_random_moments_never_read_as_a_clean_end(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    choose = random.Random(7)

    async def visit(client: grpc.aio.Channel) -> None:
        call = client.stream_stream(STREAM)(timeout=choose.choice([None, None, 0.02]))
        try:
            for _ in range(choose.randrange(4)):
                await call.write(bytes(choose.choice([1, 1000, 70_000])))
                if choose.random() < 0.5:
                    await call.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # its deadline passed
        call.cancel()

    async with channel(server) as client:
        for _ in range(6):
            await asyncio.gather(*(visit(client) for _ in range(50)))
    await until(lambda: all(machines.ends()))
    assert {tuple(ends) for ends in machines.ends()} == {("abort",)}


CLIENT = """
import sys, threading, grpc

def messages():
    yield b"hello"
    threading.Event().wait()

with grpc.insecure_channel(sys.argv[1]) as channel:
    for reply in channel.stream_stream(sys.argv[2])(messages()):
        pass
"""


async def test_a_killed_client_is_an_abort(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    client = await start_python(CLIENT, server.address, STREAM)
    try:
        await until(lambda: machines and machines[0].messages, 30)
        assert machines.ends() == [[]]
    finally:
        await kill(client)
    await until(lambda: all(machines.ends()))
    assert machines.ends() == [["abort"]]
    machines[0].out.send([b"nobody listens"])
    machines[0].out.end()


async def test_what_messages_led_to_is_committed_before_the_answers_are_sent(serving: Serving, machines: Machines) -> None:
    taken, committed = 0, [0]

    def answer(_: Machine, message: bytes) -> Sequence[bytes]:
        nonlocal taken
        taken += 1
        return [message]

    opening = machines.method(answer=answer)
    server = await serving.start(StreamMethod(STREAM, opening.open, lambda: committed.append(taken)))
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()
        for number in range(1, 4):
            await call.write(b"message")
            assert await call.read() == b"message"
            assert committed[-1] == number
        await call.done_writing()
        assert await status_of(call) == OK


async def test_what_a_commit_sends_follows_and_a_commit_that_fails_harms_nobody(serving: Serving, machines: Machines, logged: Logged) -> None:
    def commit() -> None:
        for machine in machines:
            machine.out.send([b"committed"])
        raise RuntimeError("a secret")

    logged.expected.add("stream handler failed to commit")
    opening = machines.method(answer=lambda *_: ())
    server = await serving.start(StreamMethod(STREAM, opening.open, commit))
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()
        await call.write(b"message")
        assert await call.read() == b"committed"
        call.cancel()


async def test_a_deadline_is_an_abort(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    async with channel(server) as client:
        call = client.stream_stream(STREAM)(timeout=0.3)
        await call.write(b"hello")
        assert await call.read() == b"hello"
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: all(machines.ends()))
    assert machines.ends() == [["abort"]]


async def test_an_exception_while_opening_is_internal_without_its_text(serving: Serving, logged: Logged) -> None:
    def open_stream(_: Stream) -> Machine:
        raise RuntimeError("a secret")

    logged.expected.add("stream handler failed to open")
    server = await serving.start(StreamMethod(STREAM, open_stream))
    async with channel(server) as client:
        assert await status_of(client.stream_stream(STREAM)()) == INTERNAL


async def test_an_exception_on_a_message_aborts_the_machine(serving: Serving, machines: Machines, logged: Logged) -> None:
    def answer(machine: Machine, message: bytes) -> Sequence[bytes]:
        if message == b"bad":
            raise RuntimeError("a secret")
        return [message]

    logged.expected.add("stream handler failed")
    server = await serving.start(machines.method(answer=answer))
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()
        await call.write(b"good")
        await call.write(b"bad")
        assert await call.read() == b"good"
        assert await status_of(call) == INTERNAL
    assert machines.ends() == [["abort"]]


@pytest.mark.parametrize("end", ["end", "abort"])
async def test_an_exception_at_the_end_harms_nobody(serving: Serving, machines: Machines, logged: Logged, end: str) -> None:
    class Sulking(Machine):
        def on_end(self) -> None:
            self.ends.append("end")
            raise RuntimeError("a secret")

        def on_abort(self) -> None:
            self.ends.append("abort")
            raise RuntimeError("a secret")

    def open_stream(out: Stream) -> Machine:
        machines.append(Sulking(out))
        return machines[-1]

    logged.expected.add("stream handler failed at the end" if end == "end" else "stream handler failed at an abort")
    server = await serving.start(StreamMethod(STREAM, open_stream))
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()
        await until(lambda: machines)
        if end == "end":
            await call.done_writing()
            assert await status_of(call) == INTERNAL
        else:
            call.cancel()
        await until(lambda: all(machines.ends()))
    assert machines.ends() == [[end]]


async def test_large_messages_pass_both_ways(serving: Serving, machines: Machines) -> None:
    large = bytes(10 * 1024 * 1024)
    server = await serving.start(machines.method())
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()
        for _ in range(3):
            await call.write(large)
            assert await call.read() == large
        await call.done_writing()
        assert await status_of(call) == OK


async def test_500_streams_at_once(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())

    async def visit(number: int, client: grpc.aio.Channel, everybody: asyncio.Barrier) -> None:
        call = client.stream_stream(STREAM)()
        await call.write(b"%d" % number)
        assert await call.read() == b"%d" % number
        await everybody.wait()
        await call.done_writing()
        assert await status_of(call) == OK

    async with channel(server) as client:
        everybody = asyncio.Barrier(500)
        await asyncio.gather(*(visit(number, client, everybody) for number in range(500)))
    assert machines.ends() == [["end"]] * 500


async def test_a_peer_that_does_not_read_is_not_read_from(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    block, count = bytes(64 * 1024), 2000
    async with channel(server) as client:
        call = client.stream_stream(STREAM)()

        async def write_all() -> None:
            for _ in range(count):
                await call.write(block)
            await call.done_writing()

        writing = asyncio.create_task(write_all())
        await until(lambda: machines and machines[0].messages)
        taken = -1
        while taken != len(machines[0].messages):  # until the server takes no more for a while
            taken = len(machines[0].messages)
            await asyncio.sleep(0.3)
        assert taken < count / 2
        assert len(await read_all(call)) == count
        await writing
