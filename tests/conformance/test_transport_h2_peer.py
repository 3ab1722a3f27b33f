"""The transport port, spoken to in HTTP/2 itself: pieces of any size, ends at any moment, what no gRPC library would say."""

from collections.abc import Sequence

import pytest

from ias.transport import Call, Status, UnaryMethod
from tests.conformance.h2_peer import connect, peer
from tests.conformance.serving import STREAM, UNARY, Logged, Machine, Machines, Serving, echo, until
from tests.support.http2 import PING, PRIORITY, frame, framed, request_fields

pytestmark = pytest.mark.usefixtures("logged")


async def test_a_unary_answer_is_headers_data_trailers(serving: Serving) -> None:
    server = await serving.start()
    async with peer(server) as client:
        answer = await client.unary(UNARY, b"ping", ("x-some-metadata", "value"))
    assert (answer.headers[":status"], answer.headers["content-type"]) == ("200", "application/grpc")
    assert answer.messages() == [b"ping"]
    assert answer.trailers["grpc-status"] == "0"


async def test_an_error_is_trailers_alone_with_an_escaped_text(serving: Serving) -> None:
    def handle(calls: Sequence[Call]) -> None:
        for call in calls:
            call.fail(Status.UNAVAILABLE, "100 % of it,\nü")

    server = await serving.start(UnaryMethod(UNARY, handle))
    async with peer(server) as client:
        answer = await client.unary(UNARY, b"")
    fields = {**answer.headers, **answer.trailers}
    assert (fields[":status"], fields["grpc-status"], fields["grpc-message"]) == ("200", "14", "100 %25 of it,%0A%C3%BC")
    assert not answer.data


async def test_messages_come_in_pieces_of_any_size(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    async with peer(server) as client:
        stream = client.open(STREAM)
        await client.send(stream, framed(b"byte by byte"), at_once=1)
        await client.send(stream, framed(b"two") + framed(b"") + framed(b"at once") + framed(b"and a half")[:8])
        await client.send(stream, framed(b"and a half")[8:], end=True)
        answer = await client.answer(stream)
    assert answer.messages() == [b"byte by byte", b"two", b"", b"at once", b"and a half"]
    assert (answer.status, machines.ends()) == ("0", [["end"]])


async def test_padding_is_no_data(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    async with peer(server) as client:
        stream = client.open(STREAM)
        for part in (framed(b"padded")[:3], b"", framed(b"padded")[3:]):
            client.h2.send_data(stream, part, pad_length=100)
        client.flush()
        if serving.transport == "grpcio":  # C-core takes no padded DATA at all: it ends the stream
            await until(lambda: all(machines.ends()))
            return
        assert await client.messages(stream, 1) == [b"padded"]
        client.cancel(stream)


async def test_headers_come_in_pieces(serving: Serving) -> None:
    server = await serving.start()
    async with peer(server) as client:
        stream = client.h2.get_next_available_stream_id()
        client.flush()
        client.h2.send_headers(stream, [*request_fields(UNARY), *((f"x-{number}", "v" * 100) for number in range(20))])
        client.in_pieces(0, 1, 10, 300)
        await client.send(stream, framed(b"ping"), end=True)
        assert (await client.answer(stream)).messages() == [b"ping"]
        assert (await client.unary(UNARY, b"next")).messages() == [b"next"]


async def test_frames_that_mean_nothing_here_are_ignored(serving: Serving) -> None:
    server = await serving.start()
    async with peer(server) as client:
        stream = client.open(UNARY)
        client.say(frame(PRIORITY, 0, stream, bytes(5)))
        client.say(frame(0xBB, 0xFF, stream, b"?"))
        client.say(frame(0xBB, 0, 0, b"?" * 100))
        await client.send(stream, framed(b"ping"), end=True)
        assert (await client.answer(stream)).messages() == [b"ping"]


async def test_a_call_may_end_with_trailers(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method())
    async with peer(server) as client:
        stream = client.open(STREAM)
        await client.send(stream, framed(b"ping"))
        client.h2.send_headers(stream, [("x-checksum", "1")], end_stream=True)
        client.flush()
        answer = await client.answer(stream)
    assert (answer.messages(), answer.status, machines.ends()) == ([b"ping"], "0", [["end"]])


@pytest.mark.parametrize("message", [None, b"\0\0\0\0\5half"], ids=["none", "half of one"])
async def test_a_unary_call_that_ends_without_its_message_is_an_error(serving: Serving, message: bytes | None) -> None:
    server = await serving.start()
    async with peer(server) as client:
        stream = client.open(UNARY)
        await client.send(stream, message or b"", end=True)
        if serving.transport == "grpcio":  # it never answers such a call
            client.cancel(stream)
        else:
            answer = await client.answer(stream)
            assert answer.status not in {None, "0"} or answer.reset is not None
        assert (await client.unary(UNARY, b"next")).messages() == [b"next"]


CANCEL_POINTS = ["when open", "in a message", "after a message", "with replies unread", "after the half-close", "by leaving"]


@pytest.mark.parametrize("point", CANCEL_POINTS)
async def test_a_reset_is_an_abort_at_every_point(serving: Serving, machines: Machines, point: str) -> None:
    def answer(_: Machine, message: bytes) -> Sequence[bytes]:
        return [message] * (100 if point == "with replies unread" else 0)

    server = await serving.start(machines.method(answer=answer), UnaryMethod(UNARY, echo))
    async with peer(server, window=1000) as client:
        client.gives_room = False
        stream = client.open(STREAM)
        await until(lambda: machines)
        if point == "in a message":
            await client.send(stream, framed(bytes(100_000))[:50_000])
        elif point != "when open":
            await client.send(stream, framed(bytes(100)))
            await until(lambda: machines[0].messages)
        if point == "with replies unread":
            await client.until(lambda: len(client.answers[stream].data) == 1000)
        if point == "by leaving":
            await client.close()
        else:
            client.cancel(stream)
            assert (await client.unary(UNARY, b"")).status == "0"
        await until(lambda: all(machines.ends()))
    assert machines.ends() == [["abort"]]
    machines[0].out.send([b"nobody listens"])


async def test_a_reset_after_the_half_close_leaves_the_connection_usable(serving: Serving, machines: Machines) -> None:
    """The machine has heard of its one end by then; what it still sends goes nowhere."""
    server = await serving.start(machines.method(farewell=[bytes(10_000)]))
    async with peer(server, window=1000) as client:
        client.gives_room = False
        stream = client.open(STREAM)
        client.end(stream)
        await client.until(lambda: len(client.answers[stream].data) == 1000)
        client.cancel(stream)
        client.gives_room = True
        client.set_window(65_535)
        stream = client.open(STREAM)
        client.end(stream)
        assert (await client.answer(stream)).status == "0"
    assert machines.ends() == [["end"]] * 2


async def test_the_server_keeps_the_deadline_of_a_peer_that_does_not(serving: Serving, machines: Machines) -> None:
    server = await serving.start(machines.method(), UnaryMethod(UNARY, lambda _: None))
    async with peer(server) as client:
        stream = client.open(STREAM, ("grpc-timeout", "300m"))
        await client.send(stream, framed(b"ping"))
        assert await client.messages(stream, 1) == [b"ping"]
        unary = client.open(UNARY, ("grpc-timeout", "300000u"))
        await client.send(unary, framed(b""), end=True)
        for one in (stream, unary):
            answer = await client.answer(one)
            assert answer.reset is not None or answer.status == "4"
        await until(lambda: all(machines.ends()))
    assert machines.ends() == [["abort"]]


@pytest.mark.parametrize("deadline", ["1H", "99999999H", "100000000u"])
async def test_a_long_deadline_does_not_disturb(serving: Serving, deadline: str) -> None:
    server = await serving.start()
    async with peer(server) as client:
        assert (await client.unary(UNARY, b"ping", ("grpc-timeout", deadline))).messages() == [b"ping"]


async def test_a_request_that_is_not_grpc_is_unsupported_media(serving: Serving) -> None:
    server = await serving.start()
    async with peer(server) as client:
        stream = client.open(UNARY, content_type="text/plain")
        await client.send(stream, framed(b"hello"), end=True)
        answer = await client.answer(stream)
    # grpcio takes every request for a gRPC call.
    assert answer.headers[":status"] == {"wire": "415", "grpcio": "200"}[serving.transport]


async def test_a_call_in_an_unknown_encoding_is_refused(serving: Serving) -> None:
    server = await serving.start()
    async with peer(server) as client:
        answer = await client.unary(UNARY, b"ping", ("grpc-encoding", "br"))
        # The protocol wants UNIMPLEMENTED; grpcio says INTERNAL.
        assert answer.status == {"wire": "12", "grpcio": "13"}[serving.transport]
    async with peer(server) as client:
        assert (await client.unary(UNARY, b"ping", ("grpc-encoding", "identity"))).messages() == [b"ping"]


async def test_what_breaks_the_protocol_ends_that_connection_alone(serving: Serving, logged: Logged) -> None:
    logged.expected.add("connection closed for an error of its peer")
    server = await serving.start()
    async with peer(server) as good, peer(server) as bad:
        await bad.ping()
        bad.say(frame(PING, 0, 0, b"short"))
        with pytest.raises(ConnectionError):
            await bad.until(lambda: False)
        # grpcio closes without a word.
        assert bad.goaway == {"wire": 6, "grpcio": None}[serving.transport]
        assert (await good.unary(UNARY, b"ping")).messages() == [b"ping"]


@pytest.mark.parametrize(
    "words", [b"", b"PRI * HTT", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", bytes(range(256)) * 40], ids=["none", "half", "HTTP/1", "noise"]
)
async def test_who_does_not_speak_http2_harms_nobody(serving: Serving, logged: Logged, words: bytes) -> None:
    logged.expected.add("connection closed for an error of its peer")
    server = await serving.start()
    _, stranger = await connect(server)
    stranger.write(words)
    async with peer(server) as client:
        assert (await client.unary(UNARY, b"ping")).messages() == [b"ping"]
    stranger.transport.abort()
    async with peer(server) as client:
        assert (await client.unary(UNARY, b"ping")).messages() == [b"ping"]
