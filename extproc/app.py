"""Composition of extproc: spool, store, reaper, server, and the signals that end it."""

import asyncio
import contextlib
import signal
import time

import protos
from extproc.grpc_service import ProcessService
from extproc.heartbeats import Heartbeats
from extproc.kafka_sink import KafkaSink
from extproc.machine import Rules
from extproc.ports import SpoolUnavailable
from extproc.reaper import Reaper
from extproc.settings import ExtprocSettings
from extproc.settlements import Settlements
from extproc.spool_files import SegmentRules, SpoolFiles
from extproc.store_loop import StoreLoop
from extproc.ticks import ticks
from extproc.watchdog import Watchdog
from ias import logs, telemetry
from ias.collector import settle_down
from ias.kafka import Publisher
from ias.transport import new_server
from ias.usage_event import TOPIC
from ratelimit.ports import AdmissionStore, StoreUnavailable
from ratelimit.store_valkey import connect

log = logs.get(__name__)
_CLOSE_S = 5
_REPORT_S = 0.1


async def run(settings: ExtprocSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises SpoolBusy, SpoolUnavailable or OSError when it cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    segments = SegmentRules(settings.spool_segment_bytes, settings.spool_segment_age_s * 1000, settings.spool_total_bytes, settings.spool_sync_bytes)
    spool = SpoolFiles(settings.spool_dir, _now_ms, segments)
    telemetry.EVENTS.labels("lost").inc(spool.recovered)
    store = connect(settings.valkey_url.get_secret_value())
    watchdog = Watchdog(settings.stuck_after_s)
    try:
        watchdog.start()
        await _serve(settings, spool, store, stop)
    finally:
        await store.aclose()
        watchdog.stop()
        spool.release()
    log.info("extproc stopped")


async def _serve(settings: ExtprocSettings, spool: SpoolFiles, store: AdmissionStore, stop: asyncio.Event) -> None:
    heartbeats = Heartbeats(store, spool, _monotonic_ms, settings.hold_ttl_s * 1000)
    telling = StoreLoop(heartbeats, Settlements(store, spool), spool, settings.store_interval_ms / 1000)
    reaper = Reaper(store, spool, heartbeats, _now_ms, settings.reap_interval_s)
    rules = Rules(settings.keys(), settings.event_limit_bytes, settings.buffered_json_bytes)
    service = ProcessService(rules, spool, heartbeats, _now_ms, settings.top_up_patience_ms / 1000)
    name = protos.PROCESS.removeprefix("/").partition("/")[0]
    server = new_server([service.method()], settings.listen_options(name), settings.transport)
    await server.start()
    metrics_port = telemetry.expose(settings.metrics_address)
    telemetry.OWED.set_function(lambda: len(spool.owed))
    settle_down()
    log.info("extproc started", address=server.address, spool=str(settings.spool_dir), recovered=spool.recovered, metrics_port=metrics_port)
    finish = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(telling.run(finish))
        group.create_task(reaper.run(finish))
        group.create_task(_keep_reporting(service, finish))
        group.create_task(_keep_spool(spool, settings.spool_sync_ms / 1000, finish))
        if settings.kafka_bootstrap:
            sink = KafkaSink(settings.spool_dir, Publisher(settings.kafka_client()), settings.topic(TOPIC))
            group.create_task(sink.run(finish))
        await stop.wait()
        log.info("extproc drains", seconds=settings.drain_s)
        # The server refuses new streams at once; its own grace ends after ours, so that every stream is ended by us.
        closing = group.create_task(server.drain(settings.drain_s + _CLOSE_S))
        await service.drain(settings.drain_s)
        await closing
        finish.set()
    with contextlib.suppress(StoreUnavailable):  # what is still owed is settled after the next start
        await telling.tell()
    await spool.sync()


async def _keep_reporting(service: ProcessService, finish: asyncio.Event) -> None:
    async for _ in ticks(_REPORT_S, finish):
        service.report()


async def _keep_spool(spool: SpoolFiles, interval_s: float, finish: asyncio.Event) -> None:
    while not finish.is_set():
        try:
            await spool.sync()
            spool.look_after()
        except SpoolUnavailable as error:
            log.error("the spool is not writable, new requests are refused", error=str(error))
        calls = {asyncio.ensure_future(event.wait()) for event in (finish, spool.sync_wanted)}
        _, unanswered = await asyncio.wait(calls, timeout=interval_s, return_when=asyncio.FIRST_COMPLETED)
        for call in unanswered:
            call.cancel()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _monotonic_ms() -> float:
    return time.monotonic() * 1000
