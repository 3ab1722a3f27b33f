"""The register of replicas on Valkey: a sorted set of their ids by the time of their last beat, on the server's clock."""

import contextlib

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from ratelimit import layout
from ratelimit.ports import StoreUnavailable

_BEAT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {now, redis.call('ZCARD', KEYS[1])}
"""
_TIMEOUT_S = 1


class ValkeyReplicaRegister:
    """Registers the replica `replica_id`; has a connection of its own, so that admissions never wait behind a beat."""

    def __init__(self, url: str, replica_id: str) -> None:
        self._client = Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self._replica_id = replica_id

    async def aclose(self) -> None:
        """Leave the register if the server answers, so that the others' shares grow at once."""
        with contextlib.suppress(exceptions.RedisError, OSError):
            await self._client.zrem(layout.REPLICAS, self._replica_id)
        await self._client.aclose()

    async def beat(self, live_ms: int) -> tuple[int, int]:
        try:
            now, count = await self._client.eval(_BEAT, 1, layout.REPLICAS, self._replica_id, live_ms)
        except (exceptions.RedisError, OSError) as error:
            raise StoreUnavailable(str(error) or type(error).__name__) from error
        return int(now), int(count)
