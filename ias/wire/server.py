"""The server: what it listens on, what time asks for, and how it stops."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ias.health import Health
from ias.listen import free_unix_path
from ias.transport import ListenOptions, Method, Tls
from ias.wire.protocol import Site, WireProtocol

_BACKLOG = 1_024
_TICK_S = 0.1
"""How late a deadline may be noticed."""
_GOODBYE_S = 1.0
"""For the last bytes of connections that outlived the grace of a drain."""


class WireServer:
    """Carries both handler shapes on connections of our own."""

    def __init__(self, methods: Sequence[Method], options: ListenOptions) -> None:
        self.address = options.address
        self._health = Health(options.services)
        self._site = Site((*methods, self._health.method()), options.limits)
        self._loop = self._site.loop
        self._tls: dict[str, Any] = {}
        if options.tls is not None:
            self._tls = {"ssl": _tls_context(options.tls), "ssl_handshake_timeout": options.limits.handshake_s}
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        is_unix = self.address.startswith("unix:")
        if is_unix:
            free_unix_path(self.address)
        try:
            self._sockets = [_unix_socket(self.address)] if is_unix else await _tcp_sockets(self.address)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {self.address}: {error.strerror or error}") from error
        create = self._loop.create_unix_server if is_unix else self._loop.create_server
        for listening in self._sockets:
            self._servers.append(await create(self._new_protocol, sock=listening, backlog=_BACKLOG, **self._tls))
        if not is_unix:
            self.address = f"{self.address.rpartition(':')[0]}:{self._sockets[0].getsockname()[1]}"
        self._tick()

    async def drain(self, grace_s: float) -> None:
        self._health.stop_serving()
        self._site.is_draining = True
        await self._stop_listening()
        for connection in list(self._site.connections):
            connection.drain()
        if not await self._nobody(grace_s):
            for connection in list(self._site.connections):
                connection.close()
            if not await self._nobody(_GOODBYE_S):
                for connection in list(self._site.connections):
                    connection.abort()
                await self._nobody(_GOODBYE_S)
        if self._timer is not None:
            self._timer.cancel()
            self._publish()

    async def _nobody(self, seconds: float) -> bool:
        """Wait until all connections are closed; False if some are not after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._site.nobody.wait()
        return not self._site.connections

    async def _stop_listening(self) -> None:
        """Close what we listen on. Clients that are connected already but were not accepted yet are served like the others."""
        for server, listening in zip(self._servers, self._sockets, strict=True):
            with contextlib.suppress(BlockingIOError):
                while True:
                    accepted, _ = listening.accept()
                    await self._loop.connect_accepted_socket(self._new_protocol, accepted, **self._tls)
            if listening.family == socket.AF_UNIX:
                _unlink_own(listening)
            server.close()
        self._servers, self._sockets = [], []

    def _new_protocol(self) -> WireProtocol:
        return WireProtocol(self._site)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK_S, self._tick)
        now = self._loop.time()
        for connection in list(self._site.connections):
            connection.tick(now)
        self._publish()

    def _publish(self) -> None:
        connections = self._site.connections
        self._site.counts.publish(len(connections), sum(connection.live_streams for connection in connections))


def _unix_socket(address: str) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(address.removeprefix("unix:"))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _unlink_own(listening: socket.socket) -> None:
    """Remove the socket's file while it is certainly ours: a successor binds the same path as soon as we do not listen."""
    with contextlib.suppress(FileNotFoundError):
        Path(listening.getsockname()).unlink()


async def _tcp_sockets(address: str) -> list[socket.socket]:
    """A bound socket for each address of the host; port 0 takes one port for all of them."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise OSError(errno.EINVAL, "an address is unix:/path or host:port")
    found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, (name, number, *scope) in found:
            bound = socket.socket(family, kind, protocol)
            sockets.append(bound)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((name, number or sockets[0].getsockname()[1], *scope))
            bound.setblocking(False)
    except OSError:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def _tls_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.client_ca)
    context.load_cert_chain(tls.certificate, tls.key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    if tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
