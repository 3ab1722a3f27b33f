"""A process that is extauth and extproc to Envoy and does nothing of what they do: `python -m benchmarks.no_services extauth|extproc ADDRESS`.

Every request passes to one model, every answer passes as it is. What a request costs with them is what asking costs: Envoy, the wire, and
the changes between processes. It ends when its input does.
"""

import asyncio
import json
import sys
from collections.abc import Sequence

import uvloop

import protos
from benchmarks.engine import MODEL
from extauth import answer
from extproc import replies
from ias.collector import settle_down
from ias.transport import Call, ListenOptions, Method, Stream, StreamMethod, UnaryMethod, new_server
from protos.ext_proc_pb2 import ProcessingRequest

_CONTEXT = "x" * 500
"""As long as a real one."""
_PASS = answer.allow(_CONTEXT, MODEL, ())


def check(calls: Sequence[Call]) -> None:
    for call in calls:
        call.reply(_PASS)


class Passing:
    """Sends an answer back as it is."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def on_message(self, message: bytes) -> Sequence[bytes]:
        request = ProcessingRequest.FromString(message)
        kind = request.WhichOneof("request")
        if kind == "request_headers":
            return (replies.FOLLOW_THROUGH_US,)
        if kind == "response_headers":
            length = next(header.raw_value for header in request.response_headers.headers.headers if header.key == "content-length")
            return (replies.kept_length(length.decode()),)
        chunk = request.response_body
        self._stream.send((replies.passed_on(chunk.body, end=chunk.end_of_stream),))
        if chunk.end_of_stream:
            self._stream.end()
        return ()

    def on_end(self) -> None:
        pass

    def on_abort(self) -> None:
        pass


METHODS: dict[str, Method] = {"extauth": UnaryMethod(protos.CHECK, check), "extproc": StreamMethod(protos.PROCESS, Passing)}


async def serve(name: str, address: str) -> None:
    server = new_server([METHODS[name]], ListenOptions(address))
    await server.start()
    settle_down()
    print(json.dumps({"address": server.address}), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2]))
