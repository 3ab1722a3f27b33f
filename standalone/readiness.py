"""How the supervisor sees that a process answers. Every probe is short, and False is an answer, never an error."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

Probe = Callable[[], Awaitable[bool]]

_PROBE_S = 2


def accepts(address: str) -> Probe:
    """Something accepts connections at `unix:/path` or `host:port`."""

    async def probe() -> bool:
        try:
            async with asyncio.timeout(_PROBE_S):
                _, writer = await _connect(address)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    return probe


def answers(url: str) -> Probe:
    """`GET url` is answered with 200."""

    async def probe() -> bool:
        status, _ = await get(url)
        return status == 200

    return probe


async def get(url: str, method: str = "GET") -> tuple[int, str]:
    """Make a request to a server on this machine; status 0 when it does not answer.

    The body is as it came, chunk sizes included: enough to look for a line. It saves loading an HTTP library at every start.
    """
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    request = f"{method} {target} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_PROBE_S):
            reader, writer = await _connect(parts.netloc)
            try:
                writer.write(request.encode())
                answer = await reader.read()
            finally:
                writer.close()
        head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
        return int(head.split(" ", 2)[1]), body
    except (OSError, TimeoutError, ValueError, IndexError):
        return 0, ""


async def _connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port))
