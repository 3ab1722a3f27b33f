"""A proxy between a Unix socket and its clients that makes answers late: the store is there, and slow.

It takes the socket's name, and gives it back at the end. What is connected already stays with the server: the caller cuts it.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def slowed(path: Path, delay_s: float) -> Iterator[None]:
    """Answers of the server at `path` to new clients are late by `delay_s` while the body runs."""
    real = path.with_suffix(".real")
    path.rename(real)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = _Proxy(real, delay_s)
    try:
        server = asyncio.run_coroutine_threadsafe(asyncio.start_unix_server(proxy.connected, path), loop).result(10)
        yield
    finally:
        real.rename(path)  # new clients find the server again
        asyncio.run_coroutine_threadsafe(proxy.stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class _Proxy:
    def __init__(self, real: Path, delay_s: float) -> None:
        self._real, self._delay_s = real, delay_s
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server_reader, server_writer = await asyncio.open_unix_connection(self._real)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, server_writer))
                group.create_task(_copy_late(server_reader, writer, self._delay_s))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            server_writer.close()
            writer.close()

    async def stop(self, server: asyncio.Server) -> None:
        server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    raise ConnectionResetError


async def _copy_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """In order, each piece late by as much: a slow network, not a narrow one."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(65_536):
        loop.call_later(delay_s, writer.write, data)
    raise ConnectionResetError
