"""Resolves names as the system does (`getaddrinfo`: hosts file, DNS, search domains), in threads of its own: a slow name holds up nobody else."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from controlplane.egress.ports import NameNotResolved
from controlplane.egress.rules import Address

THREADS = 16


class SystemResolver:
    """Close it at the end. However many ask for a name at once, it is asked for by one thread."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "resolver")
        self._running: dict[str, asyncio.Future[tuple[Address, ...]]] = {}

    def close(self) -> None:
        """Give the threads back; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def resolve(self, host: str) -> tuple[Address, ...]:
        if (running := self._running.get(host)) is None:
            running = self._running[host] = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host)
            running.add_done_callback(lambda done: self._forget(host, done))
        return await asyncio.shield(running)

    def _forget(self, host: str, done: asyncio.Future[tuple[Address, ...]]) -> None:
        del self._running[host]
        if not done.cancelled():
            done.exception()  # Whoever asked may have gone


def _look_up(host: str) -> tuple[Address, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NameNotResolved(f"'{host}' cannot be resolved: {getattr(error, 'strerror', None) or error}") from error
    return tuple(dict.fromkeys(ip_address(address[0]) for *_, address in found))
