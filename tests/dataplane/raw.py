"""One HTTP/1.1 exchange on a socket of one's own, for requests that no HTTP client would send."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import h11

_ANSWER_S = 20


@dataclass(frozen=True)
class RawAnswer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def exchange(port: int, request: bytes) -> RawAnswer:
    """Send bytes as they are, read one answer, close. Nothing needs to be sent completely to be answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(_ANSWER_S):
            writer.write(request)
            return await _read(reader)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> RawAnswer:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    head: h11.Response | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            return RawAnswer(head.status_code, {k.decode(): v.decode() for k, v in head.headers}, body)
        else:
            raise ConnectionError(f"no answer but {event!r}")
