"""The transport port, the server itself: addresses, health, draining."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ias.health import CHECK
from ias.transport import Call, ListenOptions, UnaryMethod, new_server
from tests.conformance.serving import STREAM, UNARY, Machines, Serving, channel, echo, kill, start_python, status_of, until

pytestmark = pytest.mark.usefixtures("logged")


async def ping(address: str) -> bytes:
    async with grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as client:
        answer: bytes = await client.unary_unary(UNARY)(b"ping", timeout=10)
    return answer


def echo_server(transport: str, address: str) -> "asyncio.Future[None]":
    return asyncio.ensure_future(new_server([UnaryMethod(UNARY, echo)], ListenOptions(address), transport).start())


async def test_an_unknown_transport_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown transport 'carrier-pigeon'"):
        new_server([], ListenOptions("127.0.0.1:0"), "carrier-pigeon")


async def test_the_address_tells_the_port_that_was_taken(serving: Serving) -> None:
    server = await serving.start()
    assert not server.address.endswith(":0")
    assert await ping(server.address) == b"ping"


async def test_an_address_in_use_is_an_os_error_and_its_owner_is_not_disturbed(serving: Serving) -> None:
    owner = await serving.start()
    with pytest.raises(OSError, match=owner.address.removeprefix("unix:")):
        await echo_server(serving.transport, owner.address)
    assert await ping(owner.address) == b"ping"


SERVER = """
import asyncio, sys
from ias.transport import *

async def main():
    server = new_server([], ListenOptions(sys.argv[1]), sys.argv[2])
    await server.start()
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_socket_file_of_a_killed_predecessor_is_taken_over(transport: str, short_path: Path) -> None:
    path = short_path / "taken"
    predecessor = await start_python(SERVER, f"unix:{path}", transport)
    assert predecessor.stdout
    assert await asyncio.to_thread(predecessor.stdout.readline) == b"up\n"
    await kill(predecessor)
    assert path.is_socket()
    successor = new_server([UnaryMethod(UNARY, echo)], ListenOptions(f"unix:{path}"), transport)
    await successor.start()
    assert await ping(successor.address) == b"ping"
    await successor.drain(0)


async def test_a_file_that_is_no_socket_is_left_alone(transport: str, short_path: Path) -> None:
    path = short_path / "precious"
    path.write_text("data")
    with pytest.raises(OSError, match="not a socket"):
        await echo_server(transport, f"unix:{path}")
    assert path.read_text() == "data"


@pytest.mark.parametrize("address", ["unix:{}/missing/socket", "256.256.256.256:0"])
async def test_an_address_that_cannot_be_is_an_os_error(transport: str, short_path: Path, address: str) -> None:
    with pytest.raises(OSError, match="cannot listen on"):
        await echo_server(transport, address.format(short_path))


@pytest.mark.parametrize("service", ["", "ias.test.Echo"])
async def test_health_is_serving_for_the_server_and_its_services(serving: Serving, service: str) -> None:
    server = await serving.start(services=("ias.test.Echo",))
    async with channel(server) as client:
        answer = await health_pb2_grpc.HealthStub(client).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_of_an_unknown_service_is_not_found(serving: Serving) -> None:
    server = await serving.start()
    async with channel(server) as client:
        request = health_pb2.HealthCheckRequest(service="ias.test.Nobody").SerializeToString()
        assert (await status_of(client.unary_unary(CHECK)(request)))[0] is grpc.StatusCode.NOT_FOUND
        assert (await status_of(client.unary_unary(CHECK)(b"\xff")))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_drain_finishes_what_runs_and_takes_nothing_new(serving: Serving, machines: Machines) -> None:
    waiting: list[Call] = []
    server = await serving.start(UnaryMethod(UNARY, waiting.extend), machines.method())
    async with channel(server) as client:
        calls = [client.unary_unary(UNARY)(b"%d" % number) for number in range(50)]
        streams = [client.stream_stream(STREAM)() for _ in range(50)]
        await until(lambda: len(waiting) == 50 and len(machines) == 50)
        draining = asyncio.create_task(server.drain(30))
        await until(lambda: not accepts(server.address))
        assert not draining.done()
        for call in waiting:
            call.reply(call.message)
        for stream in streams:
            await stream.write(b"still served")
            assert await stream.read() == b"still served"
            await stream.done_writing()
            assert await stream.code() is grpc.StatusCode.OK
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(50)]
        await asyncio.wait_for(draining, 10)
    assert machines.ends() == [["end"]] * 50


def accepts(address: str) -> bool:
    """Whether a new client gets through: a draining server is not SERVING for anybody."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as client:
        try:
            answer = health_pb2_grpc.HealthStub(client).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_what_outlives_the_grace_of_a_drain_is_aborted(serving: Serving, machines: Machines) -> None:
    waiting: list[Call] = []

    def hold(calls: Sequence[Call]) -> None:
        waiting.extend(calls)

    server = await serving.start(UnaryMethod(UNARY, hold), machines.method())
    async with channel(server) as client:
        call, stream = client.unary_unary(UNARY)(b""), client.stream_stream(STREAM)()
        await until(lambda: waiting and machines)
        await asyncio.wait_for(server.drain(0.2), 10)
        assert await call.code() is not grpc.StatusCode.OK
        assert await stream.code() is not grpc.StatusCode.OK
    await until(lambda: all(machines.ends()))
    assert machines.ends() == [["abort"]]
    waiting[0].reply(b"too late")


async def test_a_drain_leaves_nothing_behind(serving: Serving, short_path: Path) -> None:
    server = await serving.start()
    await ping(server.address)
    await server.drain(5)
    with pytest.raises(grpc.aio.AioRpcError):
        await ping(server.address)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
