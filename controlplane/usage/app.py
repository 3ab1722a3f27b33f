"""Composition of the worker: source, ledger, what runs beside them, and the signals that end it."""

import asyncio
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import database
from controlplane.audit.sealing import Sealer
from controlplane.budgets.app import keep_budgets
from controlplane.egress.egress_http import open_egress
from controlplane.reconciliation.counters_http import HttpCountersReader
from controlplane.reconciliation.service import EngineReconciler
from controlplane.security_events import feed_kafka
from controlplane.security_events.consumer import SecurityConsumer
from controlplane.security_events.feed_files import FileFeed
from controlplane.security_events.feed_kafka import KafkaFeed
from controlplane.usage.consumer import Consumer
from controlplane.usage.ledger_postgres import PostgresLedger
from controlplane.usage.ports import SourceUnavailable
from controlplane.usage.rules import check
from controlplane.usage.settings import WorkerSettings
from controlplane.usage.source_kafka import GROUP, KafkaSource
from controlplane.usage.source_spool import READ_BYTES, SpoolSource
from controlplane.usage.topics import ensure_topics
from controlplane.usage.upkeep import Upkeep, oldest_kept
from ias import logs, security_event, telemetry, usage_event
from ias.collector import settle_down
from ias.kafka import Publisher
from ias.usage_event import RequestRecorded

_TOPICS_RETRY_S = 2.0

log = logs.get(__name__)


async def run(settings: WorkerSettings) -> None:
    """Consume until SIGTERM or SIGINT; the batch in hand is finished first."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics_port = telemetry.expose(settings.metrics_address)
    ledger = PostgresLedger(settings.database_url.get_secret_value())
    engine = database.create_engine(settings.database_url.get_secret_value(), pool_size=4)
    log.info("worker started", spools=[str(one) for one in settings.spool_dirs], kafka=settings.kafka_bootstrap, metrics_port=metrics_port)
    settle_down()
    try:
        if settings.kafka_bootstrap:
            await _make_topics(settings, stop)
        async with asyncio.TaskGroup() as group:
            group.create_task(_consume(settings, ledger, stop))
            security = SecurityConsumer(_security_feed(settings), engine)
            group.create_task(security.run(stop))
            group.create_task(_keep_up(settings, security, stop))
            group.create_task(Sealer(engine, settings.audit_seal_interval_s, lambda: datetime.now(UTC)).run(stop))
            group.create_task(keep_budgets(engine, settings.valkey_url.get_secret_value(), stop))
            if settings.reconcile_interval_s:
                group.create_task(_reconcile(settings, engine, stop))
    finally:
        await ledger.close()
        await engine.dispose()
    log.info("worker stopped")


async def _consume(settings: WorkerSettings, ledger: PostgresLedger, stop: asyncio.Event) -> None:
    accept = _acceptance(settings.ledger_months)
    if not settings.kafka_bootstrap:
        await Consumer(SpoolSource(settings.spool_dirs, ledger.bury, READ_BYTES, accept), ledger, _now_ms).run(stop)
        return
    client = settings.kafka_client()
    publisher = Publisher(client)
    topic, dead_topic = settings.topic(usage_event.TOPIC), settings.topic(usage_event.DEAD_TOPIC)
    source = KafkaSource(client, topic, settings.topic(GROUP), publisher, dead_topic, accept)
    try:
        await Consumer(source, ledger, _now_ms).run(stop)
    finally:
        await source.close()
        await publisher.close()


def _acceptance(months: int) -> Callable[[RequestRecorded], None]:
    """Refuse also what the ledger has dropped already: written again, it would be counted again."""

    def accept(event: RequestRecorded) -> None:
        check(event)
        if months and event.admitted_at_ms < oldest_kept(datetime.now(UTC), months).timestamp() * 1000:
            raise ValueError("older than what the ledger keeps")

    return accept


async def _keep_up(settings: WorkerSettings, security: SecurityConsumer, stop: asyncio.Event) -> None:
    """By a connection of its own: dropping a month waits for locks."""
    ledger = PostgresLedger(settings.database_url.get_secret_value())
    try:
        await Upkeep(ledger, settings.ledger_months, security.forget_before, settings.security_days).run(stop)
    finally:
        await ledger.close()


async def _reconcile(settings: WorkerSettings, engine: AsyncEngine, stop: asyncio.Event) -> None:
    with open_egress(settings.egress_allowed_networks) as egress:
        reconciler = EngineReconciler(engine, HttpCountersReader(egress), lambda: datetime.now(UTC), settings.reconcile_tolerance)
        await reconciler.run(stop, settings.reconcile_interval_s)


def _security_feed(settings: WorkerSettings) -> FileFeed | KafkaFeed:
    if settings.kafka_bootstrap:
        return KafkaFeed(settings.kafka_client(), settings.topic(security_event.TOPIC), settings.topic(feed_kafka.GROUP))
    return FileFeed(settings.security_dirs)


async def _make_topics(settings: WorkerSettings, stop: asyncio.Event) -> None:
    topics = [settings.topic(name) for name in (usage_event.TOPIC, usage_event.DEAD_TOPIC, security_event.TOPIC)]
    while not stop.is_set():
        try:
            await ensure_topics(settings.kafka_client(), topics, settings.kafka_partitions, settings.kafka_replicas)
            return
        except SourceUnavailable as error:
            log.warning("usage waits, no event is lost", reason=str(error), retry_in_seconds=_TOPICS_RETRY_S)
        try:
            async with asyncio.timeout(_TOPICS_RETRY_S):
                await stop.wait()
        except TimeoutError:
            continue


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
