"""Composition of the registry's process: it reads everything, serves, and follows the change log until it is told to stop."""

import asyncio
import signal

from controlplane.registry.grpc_service import RegistryService
from controlplane.registry.index import Index
from controlplane.registry.reader_postgres import PostgresRegistryReader
from controlplane.registry.settings import RegistrySettings
from controlplane.registry.watcher import RegistryWatcher
from ias import logs, telemetry
from ias.collector import settle_down
from ias.transport import new_server
from protos import GET_TENANT_MODEL

log = logs.get(__name__)
_SERVICE = GET_TENANT_MODEL.removeprefix("/").partition("/")[0]


async def run(settings: RegistrySettings) -> None:
    """Serve until SIGTERM or SIGINT; raise OSError when an address cannot be used."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics_port = telemetry.expose(settings.metrics_address)
    reader = await PostgresRegistryReader.open(settings.database_url.get_secret_value(), settings.database_timeout_ms / 1000)
    index = Index()
    watcher = RegistryWatcher(reader, index, settings.changes_interval_ms / 1000, settings.max_state_age_s)
    following = asyncio.ensure_future(_follow(watcher, settings, index, metrics_port))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({following, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
    finally:
        following.cancel()
        await asyncio.wait({following})
        await reader.aclose()
    log.info("registry stopped")


async def _follow(watcher: RegistryWatcher, settings: RegistrySettings, index: Index, metrics_port: int | None) -> None:
    """Serve what is known while it is kept up to date; ends by cancellation."""
    await watcher.load_when_possible()
    server = new_server(RegistryService(index, watcher.is_fresh).methods(), settings.listen_options(_SERVICE), settings.transport)
    await server.start()
    settle_down()
    log.info("serving", address=server.address, models=len(index), orgs=index.orgs, metrics_port=metrics_port)
    try:
        await watcher.run()
    finally:
        await server.drain(settings.drain_s)
