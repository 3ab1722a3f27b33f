"""Puts extauth together and runs it until it is told to stop."""

import asyncio
import signal
import uuid
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from extauth.admission import Admissions
from extauth.decision import Policy
from extauth.grpc_service import CheckService
from extauth.learned import LearnedValues
from extauth.ledger_postgres import PostgresBudgetLedger
from extauth.lookup import CredentialLookup
from extauth.security_events import SecurityEvents
from extauth.seeding import BudgetSeeder
from extauth.settings import ExtauthSettings
from extauth.snapshot import Snapshot
from extauth.store_postgres import PostgresGatewayReader
from extauth.watcher import ChangeWatcher
from ias import logs, telemetry
from ias.collector import settle_down
from ias.kafka import Publisher
from ias.security_event import TOPIC
from ias.transport import UnaryMethod, new_server
from protos import CHECK
from ratelimit import store_valkey
from ratelimit.replicas import Replicas
from ratelimit.replicas_valkey import ValkeyReplicaRegister

log = logs.get(__name__)
_SERVICE = CHECK.removeprefix("/").partition("/")[0]
_PROTOBUF_ROOM = 1 << 20
"""Headers and frames beside the body in one message."""


async def run(settings: ExtauthSettings) -> None:
    """Serve until SIGTERM or SIGINT; raise OSError when an address cannot be used."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if (port := telemetry.expose(settings.metrics_address)) is not None:
        log.info("metrics", port=port)
    database, valkey = settings.database_url.get_secret_value(), settings.valkey_url.get_secret_value()
    async with AsyncExitStack() as closing:
        reader = await PostgresGatewayReader.open(database, settings.database_timeout_ms / 1000)
        closing.push_async_callback(reader.aclose)
        ledger = await PostgresBudgetLedger.open(database, settings.database_timeout_ms / 1000)
        closing.push_async_callback(ledger.aclose)
        late = telemetry.STORE_DEADLINE_LATE_SECONDS.observe
        store = store_valkey.connect(valkey, settings.store_timeout_ms, settings.claim_timeout_ms, late)
        closing.push_async_callback(store.aclose)
        register = ValkeyReplicaRegister(valkey, "extauth", str(uuid.uuid4()))
        closing.push_async_callback(register.aclose)
        replicas = Replicas(register, settings.replica_interval_ms / 1000)
        beating = asyncio.ensure_future(replicas.run())
        closing.callback(beating.cancel)
        seeder = BudgetSeeder(ledger, store, settings.database_timeout_ms / 1000)
        await _serve(settings, reader, Admissions(store, seeder, replicas, settings.store_timeout_ms), stop)
        await seeder.finish()


async def _serve(settings: ExtauthSettings, reader: PostgresGatewayReader, admissions: Admissions, stop: asyncio.Event) -> None:
    snapshot = Snapshot(settings.max_credentials, settings.max_credential_records, settings.max_state_age_s)
    watcher = ChangeWatcher(reader, snapshot, settings.max_credentials, settings.changes_interval_ms / 1000)
    if not await _unless_stopped(watcher.load_when_possible(), stop):
        return
    lookup = CredentialLookup(reader, snapshot, settings.database_timeout_ms / 1000)
    policy = Policy(
        settings.pepper_bytes(),
        settings.context_keys(),
        settings.max_body_bytes,
        settings.default_output_cap,
        settings.top_up_tokens,
        visitor_requests_per_minute=settings.visitor_requests_per_minute,
        shadow=settings.metering == "shadow",
    )
    publisher = Publisher(settings.kafka_client()) if settings.kafka_bootstrap else None
    security = SecurityEvents(settings.security_dir, publisher, settings.topic(TOPIC))
    service = CheckService(snapshot, lookup, admissions, LearnedValues(settings.max_learned_values), policy, security)
    options = settings.listen_options(_SERVICE, settings.max_body_bytes + _PROTOBUF_ROOM)
    server = new_server([UnaryMethod(CHECK, service.handle)], options, settings.transport)
    await server.start()
    settle_down()
    log.info("serving", address=server.address)
    drained = asyncio.Event()
    handing_over = asyncio.ensure_future(security.run(drained))
    try:
        await _unless_stopped(watcher.run(), stop)
        log.info("stopping")
    finally:
        await server.drain(settings.drain_s)
        await service.finish()
        drained.set()
        await handing_over


async def _unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Run `work` until it ends (True) or until we are told to stop, which cancels it (False)."""
    running, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if running.done():
        running.result()
        return True
    running.cancel()
    await asyncio.wait({running})
    return False
