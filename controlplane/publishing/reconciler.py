"""Keeps the gateway at the desired state: PostgreSQL is the truth, and every change applies the whole of it (level-based).

Changes of what the gateway serves happen one at a time, in all processes together: whoever makes one holds an advisory
lock of the database, which ends with its process. So a publication that is unfinished while someone else holds the lock
was left behind by a process that died, and is taken back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import advisory_locks
from controlplane.gateway.ports import Gateway, GatewayRejected, GatewayState, GatewayUnreachable
from controlplane.keys.repository import KeyRepository
from controlplane.keys.service import revoke_keys
from controlplane.publishing.repository import PublicationRepository
from controlplane.publishing.undoing import take_back
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import UnitOfWork, unit_of_work
from ias import logs
from ias.telemetry import GATEWAY_SYNC

ROUTE_STAYS_SECONDS = 1.0
"""After a model was unpublished: twice the interval at which extauth polls, so that no admitted request loses its route."""
INTERVAL_SECONDS = 10.0
"""Between two looks at whether the gateway still has what it should: what was changed by hand is repaired then. Kubernetes has its own setting."""
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 2.0, 60.0
"""After a failure; twice as long after each more in a row."""

log = logs.get(__name__)


class NoGateway:
    """Stands in where no gateway is configured: whoever publishes is told so."""

    async def apply(self, state: GatewayState, models: Collection[str] | None = None) -> bool:
        raise GatewayUnreachable("this process configures no gateway: set IAS_GATEWAY_DIR and IAS_ENVOY_ADMIN, or IAS_GATEWAY=kubernetes")


class Reconciler:
    """Applies the desired state to a gateway, on demand and in the background.

    `resyncs` says whether this process applies it without a reason, too: where one of several leads, the others do not.
    """

    def __init__(
        self, engine: AsyncEngine, gateway: Gateway, *, interval_s: float = INTERVAL_SECONDS, resyncs: Callable[[], bool] = lambda: True
    ) -> None:
        self._engine = engine
        self._gateway = gateway
        self._interval_s = interval_s
        self._resyncs = resyncs
        self._turn = asyncio.Lock()
        self._woken = asyncio.Event()

    @asynccontextmanager
    async def exclusively(self) -> AsyncIterator[None]:
        """Be the only one who changes what the gateway serves. Enter without a connection in hand: the wait may be long."""
        # The turn within this process comes first, so that those who wait for it do not use up the pool.
        async with self._turn, self._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(select(func.pg_advisory_lock(advisory_locks.GATEWAY)))
            try:
                yield
            finally:
                await connection.execute(select(func.pg_advisory_unlock(advisory_locks.GATEWAY)))

    async def apply(self, uow: UnitOfWork, models: Collection[str] | None = None) -> None:
        """Bring the gateway to the state that `uow` sees; only inside `exclusively`. Raises GatewayRejected or GatewayUnreachable.

        `models` are what somebody waits for. What the gateway leaves, because of them or because it is much, comes in turns of its own in
        the background, between which others have theirs: nobody who publishes waits until a whole cluster is repaired.
        """
        state = await PublicationRepository(uow, EVERYTHING).desired_state()
        try:
            is_whole = await self._gateway.apply(state, models)
        except GatewayRejected:
            GATEWAY_SYNC.labels("rejected").inc()
            raise
        except GatewayUnreachable:
            GATEWAY_SYNC.labels("unreachable").inc()
            raise
        GATEWAY_SYNC.labels("applied").inc()
        if not is_whole:
            self.wake()

    async def undo(self, publication_id: UUID, reason: str) -> None:
        """Take a publication back that never became published; the gateway follows when no admitted request needs its route any more."""
        async with unit_of_work(self._engine) as uow:
            await take_back(uow, publication_id, reason)
        self.wake(ROUTE_STAYS_SECONDS)

    def wake(self, after_seconds: float = 0.0) -> None:
        """Have the background loop apply the state soon; the state is read then, so calls may be many."""
        asyncio.get_running_loop().call_later(after_seconds, self._woken.set)

    async def run(self) -> None:
        """Apply the state now, whenever woken, and at intervals; what fails is tried again, less and less often. Ends by cancellation."""
        retry = RETRY_SECONDS
        while True:
            self._woken.clear()
            pause, failed = self._interval_s, False
            try:
                await self._reconcile()
                retry = RETRY_SECONDS
            except Exception as error:
                if isinstance(error, GatewayRejected | GatewayUnreachable):
                    log.error("gateway is not at the desired state", reason=str(error), retry_in_seconds=retry)
                else:
                    log.exception("gateway was not reconciled", retry_in_seconds=retry)
                pause, retry, failed = retry, min(retry * 2, LONGEST_RETRY_SECONDS), True
            await self._rest(pause, failed)

    async def _rest(self, seconds: float, failed: bool) -> None:
        """Wait for the next reason: somebody wakes, or the time has come and it is for this process to look: whoever failed tries again."""
        while True:
            try:
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
                return
            except TimeoutError:
                if failed or self._resyncs():
                    return

    async def _reconcile(self) -> None:
        async with self.exclusively():
            async with unit_of_work(self._engine) as uow:
                repository = PublicationRepository(uow, EVERYTHING)
                left_behind = await repository.unfinished_ids()
                await revoke_keys(KeyRepository(uow, EVERYTHING), await repository.orphaned_key_ids())
            for publication_id in left_behind:
                await self.undo(publication_id, "the process that published it died")
            async with unit_of_work(self._engine) as uow:
                await self.apply(uow)
