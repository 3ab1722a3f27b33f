"""A tiny real HTTP server that answers a probe as a test wants it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Engine:
    """Answers by path; `delay_s` holds every answer back. Anything else is 404."""

    url: str = ""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    delay_s: float = 0
    asked: list[str] = field(default_factory=list)

    def serves(self, *models: str) -> None:
        body = {"object": "list", "data": [{"id": model, "object": "model"} for model in models]}
        self.answers = {"/health": (200, b""), "/v1/models": (200, json.dumps(body).encode())}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            self.asked.append(path)
            await asyncio.sleep(self.delay_s)
            status, body = self.answers.get(path, (404, b""))
            location = b"location: /health\r\n" if status // 100 == 3 else b""
            writer.write(b"HTTP/1.1 %d x\r\n%bcontent-length: %d\r\nconnection: close\r\n\r\n%b" % (status, location, len(body), body))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def engine_running(*models: str) -> AsyncIterator[Engine]:
    """An engine that is healthy and serves these models."""
    engine = Engine()
    engine.serves(*models)
    server = await asyncio.start_server(engine.answer, "127.0.0.1", 0)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        server.close()
        server.close_clients() if hasattr(server, "close_clients") else None
        await server.wait_closed()
