"""The register of replicas on Valkey: a sorted set of their ids by the time of their last beat, on the server's clock."""

import contextlib

from ratelimit import layout
from ratelimit.ports import StoreUnavailable
from ratelimit.resp import Address, Command, ReplyError, RespClient

_BEAT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {now, redis.call('ZCARD', KEYS[1])}
"""
_DEADLINE_MS = 1_000
"""No request waits for a beat."""


class ValkeyReplicaRegister:
    """Registers the replica `replica_id` of a service; has a connection of its own, so that no admission stands behind a beat."""

    def __init__(self, url: str, service: str, replica_id: str) -> None:
        self._client = RespClient(Address.parse(url))
        self._replica_id = replica_id
        self._key = layout.replicas(service)

    async def aclose(self) -> None:
        """Leave the register if the server answers, so that the others' shares grow at once."""
        with contextlib.suppress(StoreUnavailable):
            await self._client.call([("ZREM", self._key, self._replica_id)], _DEADLINE_MS)
        await self._client.aclose()

    async def beat(self, live_ms: int) -> tuple[int, int]:
        command: Command = ("EVAL", _BEAT, 1, self._key, self._replica_id, live_ms)
        (reply,) = await self._client.call([command], _DEADLINE_MS)
        if isinstance(reply, ReplyError):
            raise StoreUnavailable(str(reply)) from reply
        now, count = reply
        return now, count
