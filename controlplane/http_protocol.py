"""HTTP/1.1 as the API speaks it: uvicorn's, and a deadline for the head of each request.

uvicorn ends connections that are idle between requests, but waits for ever for a head that comes byte by byte or not at
all: strangers could hold every file descriptor of the process (the "slow loris").
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class DeadlineProtocol(H11Protocol):
    """Closes a connection when `head_s` seconds after its start, or after the first byte of a request, the head is not complete."""

    head_s = 10.0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stop waiting when the head is there."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        # A cycle is one request and its answer; it begins when its head is complete.
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self.transport.close)

    def _forget(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
