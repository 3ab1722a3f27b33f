"""Access to a request's own TCP connection, which ASGI hides: a simulated engine must be able to reset it."""

import asyncio
import socket
import struct
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_KEY = "engine_simulator.transport"
_LINGER_ZERO = struct.pack("ii", 1, 0)


class ResettableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with the connection's transport in the scope of each of its requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn itself narrows it
        super().connection_made(transport)
        app: Any = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, _KEY: transport}, receive, send)

        self.app = with_transport


def reset(scope: Scope) -> None:
    """Reset the connection (TCP RST). What was sent before still arrives."""
    transport: asyncio.Transport = scope[_KEY]
    connection = transport.get_extra_info("socket")
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()
