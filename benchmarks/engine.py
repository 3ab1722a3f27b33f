"""An engine that costs next to nothing: the same short completion for each request. `python -m benchmarks.engine`; it ends when its input does."""

import asyncio
import json
import sys

import uvloop

MODEL = "sim-chat"


def _response(body: object) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)


COMPLETION = _response(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello there"}, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
    }
)
PROBES = {
    b"GET /health": _response({}),
    b"GET /v1/models": _response({"object": "list", "data": [{"id": MODEL, "object": "model"}]}),
    b"GET /metrics": b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
}


class Engine(asyncio.Protocol):
    """Reads heads, counts bodies, looks at nothing else."""

    def __init__(self) -> None:
        self._head = b""
        self._body_left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if self._body_left:
            self._body_left -= len(data)
            if not self._body_left:
                self._transport.write(COMPLETION)
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return
        head, rest, self._head = self._head[:end].lower(), len(self._head) - end - 4, b""
        if head.startswith(b"get "):
            self._transport.write(next(answer for line, answer in PROBES.items() if head.startswith(line.lower() + b" ")))
            return
        self._body_left = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]) - rest
        if not self._body_left:
            self._transport.write(COMPLETION)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Engine, "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    uvloop.run(serve())
