"""Puts the gateway on Kubernetes together: the adapter of the port, and what the process that leads does beside it."""

import os
import platform
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.kubernetes.api import open_api
from controlplane.kubernetes.cluster_api import KubernetesCluster
from controlplane.kubernetes.conditions import Standing
from controlplane.kubernetes.desired_state import read_profile_file
from controlplane.kubernetes.events import KubernetesEvents
from controlplane.kubernetes.gateway_kubernetes import KubernetesGateway
from controlplane.kubernetes.leader import Leader
from controlplane.kubernetes.profile import GatewayProfile, ProfileInvalid
from controlplane.kubernetes.readiness import KubernetesEngineObjects
from controlplane.kubernetes.reconciler import ClusterWatcher
from controlplane.kubernetes.repository import StandingRepository
from controlplane.publishing.reconciler import Reconciler
from controlplane.repository import EVERYTHING
from controlplane.settings import ApiSettings
from controlplane.unit_of_work import unit_of_work

_AT_ONCE = 200
"""Objects that are written before somebody else may publish: about a hundred models, which Envoy Gateway judges in a second or two."""


@dataclass(frozen=True, slots=True)
class KubernetesWork:
    """What a process does for the cluster beside publishing."""

    leader: Leader
    watcher: ClusterWatcher
    reconciler: Reconciler
    engines: KubernetesEngineObjects
    """Whom backends ask that were registered by an object of the cluster."""

    async def run(self) -> None:
        """Lead whenever it is our turn. Ends by cancellation."""
        await self.leader.run(self.watcher.run)


@asynccontextmanager
async def open_kubernetes(settings: ApiSettings, engine: AsyncEngine) -> AsyncIterator[KubernetesWork]:
    """Make it all; nothing is asked of the cluster yet. Raises ProfileInvalid, OSError, or GatewayUnreachable when no cluster is known."""
    profile = _profile(settings)

    async def keep(standings: Mapping[str, Standing]) -> None:
        async with unit_of_work(engine) as uow:
            await StandingRepository(uow, EVERYTHING).keep(standings)

    async with open_api(settings.kubernetes_kubeconfig) as api:
        identity = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
        cluster = KubernetesCluster(api, profile.gateway, profile.namespace)
        gateway = KubernetesGateway(cluster, profile, confirm_s=settings.kubernetes_confirm_seconds, at_once=_AT_ONCE)
        leader = Leader(api, profile.namespace, f"ias-{profile.gateway}", identity, settings.kubernetes_lease_seconds)
        interval_s = settings.kubernetes_resync_seconds
        reconciler = Reconciler(engine, gateway, interval_s=interval_s, resyncs=lambda: leader.leads)
        watcher = ClusterWatcher(cluster, gateway, KubernetesEvents(api, identity), keep, reconciler.wake, resync_s=interval_s)
        yield KubernetesWork(leader, watcher, reconciler, KubernetesEngineObjects(api))


def _profile(settings: ApiSettings) -> GatewayProfile:
    """Read the installation's profile, which must say the same of metering as the settings."""
    path = settings.kubernetes_profile or Path()
    profile = read_profile_file(path)
    if profile.metering != settings.metering:
        raise ProfileInvalid(f"{path} says metering '{profile.metering}', and IAS_METERING '{settings.metering}': they must be the same")
    return profile
