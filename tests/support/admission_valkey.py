"""The Valkey store with a clock that a test sets: its scripts ask a key for the time instead of the server."""

from collections.abc import Callable, Mapping

from redis import Redis

from ratelimit import layout
from ratelimit.resp import Address
from ratelimit.scripts import SCRIPTS, Script
from ratelimit.server_clock import ServerClock
from ratelimit.store_valkey import ValkeyAdmissionStore
from tests.support.admission_history import CLAIM_TTL_MS, ORG

CLOCK = "tests:clock"
ASKS_THE_SERVER = "local time = redis.call('TIME')"
ASKS_THE_TEST = f"local ms = tonumber(redis.call('GET', '{CLOCK}')) local time = {{math.floor(ms / 1000), ms % 1000 * 1000}}"
SHORTEST = "local ttl = to_full(b) + 1000"
LONGER = "local ttl = to_full(b) + 3600000"
"""Expiry goes by the server's own clock, which runs on while the test's stands."""


def scripts(edit: Callable[[str], str] = lambda source: source, of: Mapping[str, Script] = SCRIPTS) -> dict[str, Script]:
    edited = {name: Script(edit(script.source)) for name, script in of.items()}
    return {name: Script(script.source.replace(ASKS_THE_SERVER, ASKS_THE_TEST).replace(SHORTEST, LONGER)) for name, script in edited.items()}


class PuppetClock(ServerClock):
    """Says what the test says."""

    now_ms = 0
    known_ms = 0

    @property
    def known(self) -> bool:
        return True

    def observe(self, sent_ms: float, received_ms: float, server_ms: int) -> None:
        pass

    def at(self, local_ms: float) -> int:
        return self.now_ms

    def latest(self, local_ms: float) -> int:
        return self.known_ms


class PuppetValkey:
    """An empty server, a store on it, and the strings. For `async with`: the loop of a test that fails would wait for the open connection."""

    def __init__(self, url: str, client: Redis, edited: dict[str, Script] | None = None) -> None:
        self._client = client
        self.clock = PuppetClock()
        self.store = ValkeyAdmissionStore(Address.parse(url), 5_000, CLAIM_TTL_MS, edited or scripts(), self.clock)
        client.flushall()

    async def __aenter__(self) -> "PuppetValkey":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.aclose()

    def set_clock(self, now_ms: int, known_ms: int = 0) -> None:
        """`known_ms` is the latest time that the store's user knows of: 0 if it has just begun."""
        self.clock.now_ms, self.clock.known_ms = now_ms, known_ms
        self._client.set(CLOCK, now_ms)

    def look_everywhere(self) -> None:
        """The time to look at an org is not what the histories are about."""
        self._client.zadd(layout.LOOK, {ORG: 0})

    def lose(self) -> None:
        """Restarted empty; the clock is the test's."""
        self._client.flushall()
        self.set_clock(self.clock.now_ms)

    def nothing_expires_too_early(self, deadlines_ms: dict[str, int]) -> None:
        """What an open reservation needs outlives its deadline."""
        names = [f"ias2:{{{ORG}}}:due", *(f"ias2:{{{ORG}}}:r:{rid}" for rid in deadlines_ms)]
        names += [key.decode() for key in self._client.keys(f"ias2:{{{ORG}}}:[bsdwm]:*") if not self._client.get(key).endswith(b":0")]
        left_ms = max(deadlines_ms.values()) - self.clock.now_ms
        for name in names:
            assert self._client.pttl(name) > left_ms, name

    def nothing_is_held(self) -> None:
        """P6: without reservations, no key holds anything. Then the server is empty again."""
        for key in self._client.keys(f"ias2:{{{ORG}}}:[bsdwm]:*"):
            assert self._client.get(key).rpartition(b":")[2] == b"0", key
        assert self._client.keys(f"ias2:{{{ORG}}}:r:*") == []
        assert self._client.exists(f"ias2:{{{ORG}}}:due", f"ias2:{{{ORG}}}:swept") == 0
        self._client.flushall()
