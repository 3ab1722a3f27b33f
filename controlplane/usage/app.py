"""Composition of the worker: spools, ledger, consumer, and the signals that end it."""

import asyncio
import signal
import time

from controlplane.usage.consumer import Consumer
from controlplane.usage.ledger_postgres import PostgresLedger
from controlplane.usage.settings import WorkerSettings
from controlplane.usage.source_spool import SpoolSource
from ias import logs, telemetry

log = logs.get(__name__)


async def run(settings: WorkerSettings) -> None:
    """Consume until SIGTERM or SIGINT; the batch in hand is finished first."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics_port = telemetry.expose(settings.metrics_address)
    ledger = PostgresLedger(settings.database_url.get_secret_value())
    consumer = Consumer(SpoolSource(settings.spool_dirs, ledger.bury), ledger, lambda: time.time_ns() // 1_000_000)
    log.info("worker started", spools=[str(directory) for directory in settings.spool_dirs], metrics_port=metrics_port)
    try:
        await consumer.run(stop)
    finally:
        await ledger.close()
    log.info("worker stopped")
