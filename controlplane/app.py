"""Composition: settings become a running API, a migrated database, a first System Admin."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta

import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import api, database
from controlplane.accounts.passwords import Passwords
from controlplane.backends.credentials import CredentialFolder
from controlplane.backends.health import Thresholds
from controlplane.backends.ports import EngineObjects, Intervals, Probing
from controlplane.backends.prober_http import HttpProber
from controlplane.backends.prober_reference import ReferenceProber
from controlplane.backends.probing import BackendProber
from controlplane.budgets.counters_valkey import open_counters
from controlplane.egress.egress_http import open_egress
from controlplane.egress.ports import Egress
from controlplane.gateway.file_xds import FileXdsGateway
from controlplane.http_protocol import DeadlineProtocol
from controlplane.idempotency.route import forget_forever
from controlplane.keys.pace import Pace
from controlplane.keys.rules import KeyRules
from controlplane.mail.mailer_folder import FolderMailer
from controlplane.mail.mailer_none import NoMailer
from controlplane.mail.mailer_smtp import SmtpMailer
from controlplane.mail.ports import Mailer
from controlplane.mail.rules import Links
from controlplane.orgs.upkeep import purge_forever
from controlplane.publishing.canary_http import HttpCanary
from controlplane.publishing.ports import NoCanary
from controlplane.publishing.publisher import Publisher
from controlplane.publishing.reconciler import NoGateway, Reconciler
from controlplane.runtime import GatewayWork, Runtime
from controlplane.settings import ApiSettings
from controlplane.sign_in.cookies import SessionCookie
from controlplane.sign_in.service import Sessions
from controlplane.sign_in.tokens import Tokens
from controlplane.sign_in.upkeep import clean_forever
from ias import logs, telemetry
from ias.collector import settle_down

log = logs.get(__name__)

_GRACE_S = 10
_IDLE_S = 75
"""Longer than load balancers and clients keep an idle connection, mostly 60 s: else they send on one that closes at this moment."""
_GatewayParts = tuple[Reconciler, GatewayWork, EngineObjects | None]
"""The reconciler, what keeps it going, and the cluster's objects where the gateway is in one."""


@asynccontextmanager
async def application(settings: ApiSettings, passwords: Passwords | None = None) -> AsyncIterator[FastAPI]:
    """Make the API with everything that it needs, and take it all down at the end. `passwords` with cheap hashes are for tests."""
    engine = database.create_engine(settings.database_url.get_secret_value())
    passwords = passwords or Passwords()
    key_rules = KeyRules(
        {version: bytes.fromhex(secret.get_secret_value()) for version, secret in settings.peppers.items()}, settings.key_env, settings.keys_per_user
    )
    credentials = CredentialFolder(settings.backend_credentials_dir)
    try:
        async with AsyncExitStack() as stack:
            reconciler, gateway_work, engines = await stack.enter_async_context(_gateway(settings, engine, credentials))
            egress = stack.enter_context(open_egress(settings.egress_allowed_networks))
            counters = await stack.enter_async_context(open_counters(settings.valkey_url.get_secret_value()))
            runtime = Runtime(
                engine=engine,
                sessions=_sessions(settings),
                passwords=passwords,
                trusted_proxies=settings.trusted_proxies,
                org_grace=timedelta(seconds=settings.org_grace_s),
                mailer=_mailer(settings),
                links=Links(settings.public_url, timedelta(seconds=settings.invite_lifetime_s), timedelta(seconds=settings.reset_lifetime_s)),
                key_rules=key_rules,
                validation_pace=Pace(settings.validations_per_minute),
                egress=egress,
                probing=_probing(settings, egress, credentials, engines),
                counters=counters,
                publisher=_publisher(settings, reconciler, key_rules, egress, credentials),
                new_org_approval=settings.new_org_approval,
                gateway_work=gateway_work,
            )
            yield api.build(runtime)
    finally:
        passwords.close()
        await engine.dispose()


def _sessions(settings: ApiSettings) -> Sessions:
    return Sessions(
        tokens=Tokens(settings.token_secret.get_secret_value(), timedelta(seconds=settings.token_lifetime_s)),
        cookie=SessionCookie(secure=settings.public_url.startswith("https://")),
        lifetime=timedelta(seconds=settings.session_lifetime_s),
        idle=timedelta(seconds=settings.session_idle_s),
    )


def _probing(settings: ApiSettings, egress: Egress, credentials: CredentialFolder, engines: EngineObjects | None) -> Probing:
    return Probing(
        ReferenceProber(HttpProber(egress, credentials), engines),
        Intervals(settings.probe_interval, settings.discovery_interval),
        Thresholds(settings.probes_to_go_down, settings.probes_to_come_up),
    )


def _mailer(settings: ApiSettings) -> Mailer:
    if settings.mail_folder is not None:
        return FolderMailer(settings.mail_folder, settings.mail_from)
    if not settings.smtp_host:
        return NoMailer()
    password = settings.smtp_password.get_secret_value()
    return SmtpMailer(settings.smtp_host, settings.smtp_port, settings.smtp_security, settings.smtp_username, password, settings.mail_from)


def _publisher(settings: ApiSettings, reconciler: Reconciler, key_rules: KeyRules, egress: Egress, credentials: CredentialFolder) -> Publisher:
    canary = HttpCanary(settings.canary_url or settings.gateway_url, settings.canary_seconds) if settings.configures_gateway else NoCanary()
    return Publisher(reconciler, key_rules, egress, credentials, settings.gateway_url, settings.metering, canary, settings.publications_per_org)


@asynccontextmanager
async def _gateway(settings: ApiSettings, engine: AsyncEngine, credentials: CredentialFolder) -> AsyncIterator[_GatewayParts]:
    """Make the reconciler of the gateway, and what this process does to keep the gateway as it should be."""
    if settings.gateway == "kubernetes":
        # What is not chosen is not imported: the client library takes a second.
        from controlplane.kubernetes.app import open_kubernetes  # noqa: PLC0415

        async with open_kubernetes(settings, engine) as kubernetes:
            yield kubernetes.reconciler, (kubernetes.reconciler.run, kubernetes.run), kubernetes.engines
    elif settings.gateway_dir is not None:
        gateway = FileXdsGateway(settings.gateway_dir, settings.envoy_admin, envoy_log=settings.envoy_log, credentials=credentials)
        reconciler = Reconciler(engine, gateway)
        yield reconciler, (reconciler.run,), None
    else:
        yield Reconciler(engine, NoGateway()), (), None


@asynccontextmanager
async def background(app: FastAPI) -> AsyncIterator[None]:
    """Keep the gateway at the desired state and the health of backends current, until the block ends."""
    runtime: Runtime = app.state.runtime
    work = [
        BackendProber(runtime.engine, runtime.probing, runtime.publisher.reconciler.wake).run(),
        clean_forever(runtime.engine),
        forget_forever(runtime.engine),
        purge_forever(runtime.engine),
        *(keep() for keep in runtime.gateway_work),
    ]
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def serve(settings: ApiSettings) -> None:
    """Serve the API until SIGTERM or SIGINT; requests that run are finished. Raises OSError when the address cannot be used."""
    host, _, port = settings.api_listen.rpartition(":")
    listener = _listen(host.strip("[]"), int(port))
    metrics_port = telemetry.expose(settings.metrics_address)
    async with application(settings) as app:
        config = uvicorn.Config(
            app,
            http=DeadlineProtocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=_IDLE_S,
        )
        server = _Server(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.stop)
        log.info("api listens", address=host, port=listener.getsockname()[1], metrics_port=metrics_port)
        async with background(app):
            settle_down()  # a full collection takes a fifth of a second here, in the midst of somebody's request
            await server.serve([listener])
    log.info("api stopped")


class _Server(uvicorn.Server):
    """Ends with exit status 0 on a signal, instead of dying of it after the work is done."""

    def stop(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)
