"""A server whose answers can be held back: a TCP proxy in front of the real one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class HeldAnswers:
    """Questions always pass; answers wait while `hold` is set, and all come after `release`."""

    def __init__(self) -> None:
        self._pass = asyncio.Event()
        self._pass.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    def hold(self) -> None:
        self._pass.clear()

    def release(self) -> None:
        self._pass.set()

    @contextlib.asynccontextmanager
    async def before(self, url: str) -> AsyncIterator["HeldAnswers"]:
        behind = urlsplit(url)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            server_reader, server_writer = await asyncio.open_connection(behind.hostname, behind.port)
            for source, sink, held in ((reader, server_writer, False), (server_reader, writer, True)):
                task = asyncio.ensure_future(self._carry(source, sink, held))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, held: bool) -> None:
        try:
            while data := await source.read(1 << 16):
                if held:
                    await self._pass.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass  # the other side will see it too
        finally:
            sink.close()
