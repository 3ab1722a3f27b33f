"""Keeps the registry's index at what the database holds."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from controlplane.registry.index import Index
from controlplane.registry.ports import RegistryReader
from ias.change_log import Change, ChangeFollower, Position
from ias.gateway_views import ChangeKind


class RegistryWatcher(ChangeFollower):
    """Follows models and approvals by the log, and the health of backends by reading them at each poll: they are few and change often."""

    def __init__(
        self, reader: RegistryReader, index: Index, interval_s: float, max_age_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(reader, interval_s, clock)
        self._reader = reader
        self._index = index
        self._max_age_s = max_age_s
        self._confirmed_at: float | None = None

    def is_fresh(self, now_s: float) -> bool:
        return self._confirmed_at is not None and now_s - self._confirmed_at <= self._max_age_s

    async def poll(self) -> None:
        await super().poll()
        self._index.set_providers(await self._reader.providers())

    async def read_all(self) -> str:
        providers, models, approvals = await self._reader.providers(), await self._reader.models(), await self._reader.approvals()
        self._index.replace(providers, models, approvals)
        return f"{len(providers)} providers, {len(models)} models, {len(approvals)} orgs"

    async def take(self, changes: Sequence[Change]) -> None:
        backend_ids = {UUID(one.id) for one in changes if one.kind == ChangeKind.CATALOG}
        model_ids = {UUID(one.id) for one in changes if one.kind == ChangeKind.CATALOG_MODEL}
        org_ids = {one.id for one in changes if one.kind in {ChangeKind.APPROVALS, ChangeKind.ORG}}
        if backend_ids or model_ids:
            models = await self._reader.models(backend_ids, model_ids)
            self._index.set_providers(await self._reader.providers())
            gone = {*model_ids, *(known for one in backend_ids for known in self._index.models_of(one))}
            self._index.set_models(gone, models)
        if org_ids:
            self._index.set_approvals(await self._reader.approvals(sorted(org_ids)))

    def confirm(self, _: Position, at_s: float) -> None:
        self._confirmed_at = at_s
