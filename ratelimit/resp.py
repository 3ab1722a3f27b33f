"""A small RESP2 client for one server: one connection, pipelined, parsed by hiredis; every call has a deadline.

It exists because a general client costs several times the CPU of all the rest of an admission (`make bench-admission` measures both).
What is sent together is answered together. A call that is not answered within its deadline fails and is left to end by itself; until
it has, further calls fail at once, so that a silent server costs one deadline and not one for each request.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from ratelimit.ports import StoreUnavailable

Command = tuple[str | int | bytes, ...]
Replies = list[Any]

_CONNECT_S = 1.0
_SHORTEST_S = 0.001
_SILENT_S = 2.0
"""A connection on which an answer is overdue for so long is given up: the other end may be gone without a word."""
_OWN_TURN_S = 0.002
"""A call is given up so long before its deadline: our own loop needs a moment to notice, and whoever waits to go on."""
_LOOK_S = 0.001
"""A deadline that was noticed later than this was missed by our own loop, which was busy: it looks once whether the answer has come meanwhile."""


class ReplyError(Exception):
    """What the server answered in place of a reply, for example `OOM command not allowed …`."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is, and what to say first."""

    host: str
    port: int
    path: str
    tls: bool
    greeting: tuple[Command, ...] = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read `redis://[user[:password]@]host[:port][/db]`, `rediss://` (TLS) or `unix://[user[:password]@]/path[?db=n]`; else ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("the address of Valkey begins with redis://, rediss:// or unix://")
        greeting: list[Command] = []
        if parts.password:
            user = (unquote(parts.username),) if parts.username else ()
            greeting.append(("AUTH", *user, unquote(parts.password)))
        unix = parts.scheme == "unix"
        database = parse_qs(parts.query).get("db", ["0"])[0] if unix else parts.path.strip("/") or "0"
        if database != "0":
            greeting.append(("SELECT", int(database)))
        return cls(parts.hostname or "localhost", parts.port or 6379, unquote(parts.path) if unix else "", parts.scheme == "rediss", tuple(greeting))


class RespClient:
    """Connects at the first call, and again at the next call after the connection was lost. `first` is sent on each new connection.

    `loop_was_late` is told, whenever a call was not answered within its deadline as far as we saw, how many seconds after it our own loop looked.
    """

    def __init__(self, address: Address, first: Sequence[Command] = (), loop_was_late: Callable[[float], None] = lambda _: None) -> None:
        self._address = address
        self._first = (*address.greeting, *first)
        self._loop_was_late = loop_was_late
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None
        self._connect_overdue = False
        self._connections = 0

    async def call(self, commands: Sequence[Command], deadline_ms: float, on_late: Callable[[Replies], None] | None = None) -> Replies:
        """Send and return one reply for each command, errors as ReplyError in their place. Raises StoreUnavailable.

        `on_late` is given the replies if they come after the deadline.
        """
        if not commands:
            return []
        until = time.monotonic() + deadline_ms / 1000
        if not self.connections:
            await self.connect(deadline_ms)
        connection = self._connection
        assert connection is not None
        if connection.overdue:
            raise StoreUnavailable("an earlier call is still unanswered")
        return await connection.send(commands, until - time.monotonic(), on_late)

    @property
    def connections(self) -> int:
        """How many there have been, as `connect` says; 0 while there is none."""
        connection = self._connection
        return 0 if connection is None or connection.closed else self._connections

    async def connect(self, deadline_ms: float) -> int:
        """Connect if need be; return how many connections there have been: a new one may reach a server that was emptied."""
        if not self.connections:
            await self._connect(deadline_ms / 1000)
        return self._connections

    async def aclose(self) -> None:
        """Close the connection; calls that wait fail."""
        if self._connecting is not None:
            await asyncio.wait({self._connecting})
        if self._connection is not None:
            self._connection.close()
            await self._connection.gone

    async def _connect(self, deadline_s: float) -> None:
        if self._connecting is None:
            self._connect_overdue = False
            self._connecting = asyncio.ensure_future(self._open())
            self._connecting.add_done_callback(self._connected)
        elif self._connect_overdue:
            raise StoreUnavailable("the connection is still not there")
        connecting = self._connecting
        due = time.monotonic() + _own(deadline_s)
        await asyncio.wait({connecting}, timeout=_own(deadline_s))
        if not connecting.done():
            self._connect_overdue = True
            self._loop_was_late(max(0.0, time.monotonic() - due))
            raise StoreUnavailable(f"no connection within {deadline_s * 1000:.0f} ms")
        connecting.result()

    def _connected(self, task: "asyncio.Task[_Connection]") -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._connection = task.result()
            self._connections += 1

    async def _open(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        to = self._address
        try:
            async with asyncio.timeout(_CONNECT_S):
                if to.path:
                    _, connection = await loop.create_unix_connection(lambda: _Connection(self._loop_was_late), to.path)
                else:
                    tls = ssl.create_default_context() if to.tls else None
                    _, connection = await loop.create_connection(lambda: _Connection(self._loop_was_late), to.host, to.port, ssl=tls)
        except (OSError, TimeoutError) as error:
            raise StoreUnavailable(f"cannot connect: {str(error) or type(error).__name__}") from error
        try:
            replies = await connection.send(self._first, _CONNECT_S, None) if self._first else []
        except StoreUnavailable:
            connection.close()
            raise
        refused = next((reply for reply in replies if isinstance(reply, ReplyError)), None)
        if refused is not None:
            connection.close()
            raise StoreUnavailable(str(refused)) from refused
        return connection


class _Batch:
    """Commands that were sent together. `due`: when the answer has to be there. `overdue`: nobody waits for them any more."""

    __slots__ = ("answer", "due", "late_s", "left", "on_late", "overdue", "replies")

    def __init__(self, answer: "asyncio.Future[Replies]", left: int, due: float, on_late: Callable[[Replies], None] | None) -> None:
        self.answer = answer
        self.left = left
        self.due = due
        self.late_s = 0.0
        self.replies: Replies = []
        self.on_late = on_late
        self.overdue = False


class _Connection(asyncio.Protocol):
    """One connection; answers come in the order of the commands."""

    def __init__(self, loop_was_late: Callable[[float], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_was_late = loop_was_late
        self._reader = hiredis.Reader(replyError=ReplyError)
        self._waiting: deque[_Batch] = deque()
        self._transport: asyncio.Transport | None = None
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.overdue = 0
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not one by type
        self._transport.set_write_buffer_limits(0)  # uvloop writes at once then, and not at the end of its turn: the time of the server begins here

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.close()

    async def send(self, commands: Sequence[Command], deadline_s: float, on_late: Callable[[Replies], None] | None) -> Replies:
        if self.closed or self._transport is None:
            raise StoreUnavailable("the connection was lost")
        wait_s = _own(deadline_s)
        batch = _Batch(self._loop.create_future(), len(commands), time.monotonic() + wait_s, on_late)
        self._waiting.append(batch)
        self._transport.write(b"".join([hiredis.pack_command(command) for command in commands]))  # type: ignore[arg-type] # the stub means tuples of one
        timer = self._loop.call_later(wait_s, self._is_due, batch)
        try:
            return await batch.answer
        finally:
            timer.cancel()
            if batch.answer.cancelled() and not batch.overdue and batch.left:
                self._give_up(batch)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._replied(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self._fail(StoreUnavailable(f"not RESP: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._fail(StoreUnavailable(f"the connection was lost: {exc or 'closed'}"))
        if not self.gone.done():
            self.gone.set_result(None)

    def _replied(self, reply: Any) -> None:
        batch = self._waiting[0]
        batch.replies.append(reply)
        batch.left -= 1
        if batch.left:
            return
        self._waiting.popleft()
        if batch.overdue:
            self.overdue -= 1
            if batch.on_late is not None:
                batch.on_late(batch.replies)
        elif not batch.answer.done():
            if (late_s := batch.late_s + time.monotonic() - batch.due) > 0:
                self._loop_was_late(late_s)  # to refuse an answer that is here would make nobody's wait shorter
            batch.answer.set_result(batch.replies)

    def _is_due(self, batch: _Batch) -> None:
        if batch.answer.done():
            return
        now = time.monotonic()
        late_s, has_looked = now - batch.due, batch.late_s > 0
        if late_s < -_LOOK_S:  # uvloop counts from the begin of its turn
            self._loop.call_later(-late_s, self._is_due, batch)
            return
        batch.late_s += max(0.0, late_s)
        if late_s > _LOOK_S and not has_looked:
            batch.due = now + _LOOK_S
            self._loop.call_later(_LOOK_S, self._is_due, batch)
            return
        self._give_up(batch)
        self._loop_was_late(batch.late_s)
        batch.answer.set_exception(StoreUnavailable("no answer within the deadline"))

    def _give_up(self, batch: _Batch) -> None:
        batch.overdue = True
        self.overdue += 1
        self._loop.call_later(_SILENT_S, self._silent, batch)

    def _silent(self, batch: _Batch) -> None:
        if batch.left and self._transport is not None:
            self.closed = True
            self._transport.abort()

    def _fail(self, error: StoreUnavailable) -> None:
        waiting, self._waiting = self._waiting, deque()
        self.overdue = 0
        for batch in waiting:
            if not batch.overdue and not batch.answer.done():
                batch.answer.set_exception(error)


def _own(deadline_s: float) -> float:
    """How long we wait ourselves, so that nobody waits longer than the deadline."""
    return max(_SHORTEST_S, deadline_s - _OWN_TURN_S)
