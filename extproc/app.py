"""Composition of extproc: spool, store, reaper, server, and the signals that end it."""

import asyncio
import contextlib
import signal
import time

import protos
from extproc.claims import ClaimQueue
from extproc.grpc_service import ProcessService
from extproc.machine import Rules
from extproc.ports import SpoolUnavailable
from extproc.reaper import Reaper
from extproc.settings import ExtprocSettings
from extproc.spool_files import SegmentRules, SpoolFiles
from extproc.ticks import ticks
from ias import logs, telemetry
from ias.transport import new_server
from ratelimit.ports import StoreUnavailable
from ratelimit.store_valkey import connect

log = logs.get(__name__)
_CLOSE_S = 5


async def run(settings: ExtprocSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises SpoolBusy, SpoolUnavailable or OSError when it cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    spool = SpoolFiles(settings.spool_dir, _now_ms, SegmentRules(settings.spool_segment_bytes, settings.spool_segment_age_s * 1000))
    telemetry.EVENTS.labels("lost").inc(spool.recovered)
    store = connect(settings.valkey_url.get_secret_value())
    claims = ClaimQueue(store, spool, settings.spool_sync_ms / 1000)
    reaper = Reaper(store, spool, claims, _now_ms, settings.reap_interval_s)
    try:
        await _serve(settings, spool, claims, reaper, stop)
    finally:
        await store.aclose()
        spool.release()
    log.info("extproc stopped")


async def _serve(settings: ExtprocSettings, spool: SpoolFiles, claims: ClaimQueue, reaper: Reaper, stop: asyncio.Event) -> None:
    rules = Rules(settings.keys(), settings.event_limit_bytes, settings.buffered_json_bytes)
    service = ProcessService(rules, spool, claims, _now_ms)
    name = protos.PROCESS.removeprefix("/").partition("/")[0]
    server = new_server([service.method()], settings.listen_options(name), settings.transport)
    await server.start()
    metrics_port = telemetry.expose(settings.metrics_address)
    log.info("extproc started", address=server.address, spool=str(settings.spool_dir), recovered=spool.recovered, metrics_port=metrics_port)
    finish = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(claims.run())
        group.create_task(reaper.run(finish))
        group.create_task(_keep_spool(spool, settings.spool_sync_ms / 1000, finish))
        await stop.wait()
        log.info("extproc drains", seconds=settings.drain_s)
        # The server refuses new streams at once; its own grace ends after ours, so that every stream is ended by us.
        closing = group.create_task(server.drain(settings.drain_s + _CLOSE_S))
        await service.drain(settings.drain_s)
        await closing
        finish.set()
        claims.close()
    with contextlib.suppress(StoreUnavailable):  # the reaper of another replica finds them
        await claims.flush()
    await spool.sync()


async def _keep_spool(spool: SpoolFiles, interval_s: float, finish: asyncio.Event) -> None:
    async for _ in ticks(interval_s, finish):
        try:
            await spool.sync()
            spool.roll_if_old()
        except SpoolUnavailable as error:
            log.error("the spool is not writable, new requests are refused", error=str(error))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
