"""Puts the Rate Limit Service together and runs it until it is told to stop."""

import asyncio
import signal
import uuid
from contextlib import AsyncExitStack

from ias import logs, telemetry
from ias.collector import settle_down
from ias.transport import UnaryMethod, new_server
from protos import SHOULD_RATE_LIMIT
from ratelimit import hits_valkey
from ratelimit.grpc_service import RateLimitService
from ratelimit.replicas import Replicas
from ratelimit.replicas_valkey import ValkeyReplicaRegister
from ratelimit.settings import RatelimitSettings

log = logs.get(__name__)
_SERVICE = SHOULD_RATE_LIMIT.removeprefix("/").partition("/")[0]


async def run(settings: RatelimitSettings) -> None:
    """Serve until SIGTERM or SIGINT; raise OSError when an address cannot be used."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if (port := telemetry.expose(settings.metrics_address)) is not None:
        log.info("metrics", port=port)
    valkey = settings.valkey_url.get_secret_value()
    async with AsyncExitStack() as closing:
        store = hits_valkey.connect(valkey, settings.store_timeout_ms, telemetry.STORE_DEADLINE_LATE_SECONDS.observe)
        closing.push_async_callback(store.aclose)
        register = ValkeyReplicaRegister(valkey, "ratelimit", str(uuid.uuid4()))
        closing.push_async_callback(register.aclose)
        replicas = Replicas(register, settings.replica_interval_ms / 1000)
        beating = asyncio.ensure_future(replicas.run())
        closing.callback(beating.cancel)
        service = RateLimitService(
            store,
            settings.rate_limits,
            replicas,
            settings.store_timeout_ms,
            tell_limits=settings.tell_limits,
            when_store_away=settings.when_store_away,
        )
        options = settings.listen_options(_SERVICE, settings.max_request_bytes)
        server = new_server([UnaryMethod(SHOULD_RATE_LIMIT, service.handle)], options, settings.transport)
        await server.start()
        settle_down()
        log.info("serving", address=server.address)
        await stop.wait()
        log.info("stopping")
        await server.drain(settings.drain_s)
        await service.finish()
