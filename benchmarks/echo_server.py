"""A process that serves an echo on one transport: `python -m benchmarks.echo_server TRANSPORT ADDRESS`. It ends when its input does."""

import asyncio
import json
import sys
from collections.abc import Sequence

import uvloop

from ias.transport import Call, ListenOptions, Stream, StreamMethod, UnaryMethod, new_server

UNARY, STREAM = "/ias.bench.Echo/Unary", "/ias.bench.Echo/Stream"


def echo(calls: Sequence[Call]) -> None:
    for call in calls:
        call.reply(call.message)


class EchoMachine:
    def __init__(self, _: Stream) -> None:
        pass

    def on_message(self, message: bytes) -> Sequence[bytes]:
        return (message,)

    def on_end(self) -> None:
        pass

    def on_abort(self) -> None:
        pass


async def serve(transport: str, address: str) -> None:
    server = new_server([UnaryMethod(UNARY, echo), StreamMethod(STREAM, EchoMachine)], ListenOptions(address), transport)
    await server.start()
    print(json.dumps({"address": server.address}), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    await server.drain(1)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2]))
