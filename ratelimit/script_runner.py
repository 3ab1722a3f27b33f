"""Runs the scripts on one connection: bounds them in time on the server's clock, and loads them anew where they were forgotten."""

import time
from collections.abc import Callable, Mapping, Sequence

from ratelimit import layout
from ratelimit.ports import StoreUnavailable
from ratelimit.resp import Address, Command, Replies, ReplyError, RespClient
from ratelimit.scripts import Script
from ratelimit.server_clock import ServerClock

Call = tuple[str, str, tuple[str | int | bytes, ...]]
"""Script, org, arguments behind `not_after`."""


class ScriptRunner:
    """Every call ends within `deadline_ms`. The clock may be shared by several runners of one server."""

    def __init__(
        self,
        address: Address,
        scripts: Mapping[str, Script],
        clock: ServerClock,
        deadline_ms: int,
        loop_was_late: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.sha = {name: script.sha for name, script in scripts.items()}
        self._load: list[Command] = [("SCRIPT", "LOAD", script.source) for script in scripts.values()]
        self._client = RespClient(address, self._load, loop_was_late)
        self._clock = clock
        self.deadline_ms = deadline_ms

    @property
    def connections(self) -> int:
        """How many there have been, as `connect` says; 0 while there is none."""
        return self._client.connections

    async def connect(self, until: float | None = None) -> int:
        """Connect if need be; return how many connections there have been: a new one may reach a server that was emptied."""
        return await self._client.connect(self._left_ms(until))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def run(self, calls: Sequence[Call]) -> Replies:
        """Run all; raises StoreUnavailable if any of them did not."""
        if not calls:
            return []
        until = self.until()
        not_after = await self.not_after(until)
        replies = await self.ask([self.command(call, not_after) for call in calls], until)
        if any(len(reply) == 1 for reply in replies):
            raise StoreUnavailable("the call came too late")
        return replies

    def command(self, call: Call, not_after_ms: int) -> Command:
        name, org_id, arguments = call
        return ("EVALSHA", self.sha[name], 1, layout.due(org_id), not_after_ms, *arguments)

    async def ask(self, commands: Sequence[Command], until: float | None = None) -> Replies:
        """Send and return the replies; raises StoreUnavailable if one of them is an error."""
        replies = await self.send(commands, until)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise StoreUnavailable(str(reply)) from reply
        return replies

    async def send(self, commands: Sequence[Command], until: float | None = None, on_late: Callable[[Replies], None] | None = None) -> Replies:
        """One round trip; errors stand in place of their reply. A flushed server has forgotten the scripts: they are loaded and run then."""
        sent = local_ms()
        replies = await self._client.call(commands, self._left_ms(until), on_late)
        received = local_ms()
        missing = []
        for i, reply in enumerate(replies):
            if isinstance(reply, ReplyError):
                if str(reply).startswith("NOSCRIPT"):
                    missing.append(i)
            elif commands[i][0] == "EVALSHA":
                self._clock.observe(sent, received, reply[0])
        if missing:
            again = await self._client.call([*self._load, *(commands[i] for i in missing)], self._left_ms(until or sent + self.deadline_ms))
            for i, reply in zip(missing, again[len(self._load) :], strict=True):
                replies[i] = reply
        return replies

    async def now(self, until: float | None = None) -> int:
        """The server's time, or a little less."""
        if not self._clock.known:
            sent = local_ms()
            ((seconds, micros),) = await self.ask([("TIME",)], until)
            self._clock.observe(sent, local_ms(), int(seconds) * 1000 + int(micros) // 1000)
        return self._clock.at(local_ms())

    async def not_after(self, until: float | None = None) -> int:
        """The last moment, on the server's clock, at which a call that is sent now may run."""
        now = self._clock.at(local_ms()) if self._clock.known else await self.now(until)
        return now + 2 * self.deadline_ms

    def until(self) -> float:
        """When a call that begins now has to be answered, in local time: its steps share one deadline."""
        return local_ms() + self.deadline_ms

    def _left_ms(self, until: float | None) -> float:
        return self.deadline_ms if until is None else max(1.0, until - local_ms())


def local_ms() -> float:
    """Time for differences only."""
    return time.monotonic() * 1000
