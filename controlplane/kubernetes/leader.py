"""One process of several leads: it watches the cluster and repairs it. The others publish as well, and wait to take its place.

By a Lease, as client-go does it: whoever has not seen the lease renewed for its duration, by the own clock, takes it. Clocks of machines
need not agree. The lease of a process that stops is given back at once. (The client library's own election ends at the first
connection that breaks, and gives nothing back.)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from controlplane.gateway.ports import GatewayRejected, GatewayUnreachable
from controlplane.kubernetes.api import KubernetesApi
from controlplane.kubernetes.objects import Json
from controlplane.kubernetes.ports import Conflict, NotServed
from ias import logs
from ias.telemetry import KUBERNETES_LEADER

log = logs.get(__name__)

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
_RENEWALS = 5
"""In the time of a lease."""


class Leader:
    """A candidate. `identity` tells processes apart: the same for two, and both would lead."""

    def __init__(self, api: KubernetesApi, namespace: str, name: str, identity: str, lease_s: float) -> None:
        self._api = api
        self._leases = _LEASES.format(namespace)
        self._path = f"{self._leases}/{name}"
        self._metadata = {"name": name, "namespace": namespace}
        self._identity = identity
        self._lease_s = lease_s
        self._pause_s = lease_s / _RENEWALS
        self._seen: tuple[object, float] = (None, 0.0)
        """The spec as it was last seen to change, and when."""
        self.leads = False

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` while leading, again and again; it is cancelled when the lease is lost. Ends by cancellation."""
        try:
            while True:
                if await self._take():
                    await self._lead(work)
                else:
                    await asyncio.sleep(self._pause_s)
        finally:
            if self.leads:
                self._lost()
                await self._give_back()

    async def _lead(self, work: Callable[[], Awaitable[None]]) -> None:
        log.info("this process leads", lease=self._metadata["name"])
        self.leads = True
        KUBERNETES_LEADER.set(1)
        working = asyncio.ensure_future(work())
        try:
            renewed = time.monotonic()
            # One renewal before others may take it, so that never two lead.
            while time.monotonic() < renewed + self._lease_s - self._pause_s and not working.done():
                await asyncio.wait([working], timeout=self._pause_s)
                asked = time.monotonic()
                taken = await self._take()
                if taken:
                    renewed = asked
                elif taken is False:
                    break
        finally:
            working.cancel()
            ended = await asyncio.gather(working, return_exceptions=True)
        if isinstance(ended[0], Exception):
            log.error("the leader's work ended", error=ended[0])
        self._lost()

    def _lost(self) -> None:
        self.leads = False
        KUBERNETES_LEADER.set(0)

    async def _take(self) -> bool | None:
        """Take or renew the lease; False when it is another's, None when nothing is known."""
        try:
            async with asyncio.timeout(self._pause_s):
                try:
                    lease = await self._api.call("GET", self._path)
                except NotServed:
                    await self._api.call("POST", self._leases, {"metadata": self._metadata, "spec": self._spec({})})
                    return True
                if not self._may_have(lease.get("spec") or {}):
                    return False
                await self._api.call("PUT", self._path, {**lease, "spec": self._spec(lease.get("spec") or {})})
                return True
        except Conflict:  # somebody was faster
            return False
        except (GatewayUnreachable, GatewayRejected, TimeoutError) as error:
            log.warning("the lease cannot be had", reason=str(error) or "no answer in time")
            return None

    def _may_have(self, spec: Json) -> bool:
        now = time.monotonic()
        if spec != self._seen[0]:
            self._seen = (spec, now)
        return spec.get("holderIdentity") in {None, "", self._identity} or now > self._seen[1] + self._lease_s

    def _spec(self, before: Json) -> Json:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = before.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._lease_s)),
            "acquireTime": before.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", 0) + (0 if ours else 1),
        }

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(self._pause_s):
                lease = await self._api.call("GET", self._path)
                if lease["spec"].get("holderIdentity") == self._identity:
                    await self._api.call("PUT", self._path, {**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
        except (GatewayUnreachable, GatewayRejected, TimeoutError) as error:
            log.warning("the lease was not given back; it ends by itself", reason=str(error) or "no answer in time")
