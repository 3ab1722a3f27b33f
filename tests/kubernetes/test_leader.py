"""Two control planes, one leader: by a Lease of the real API server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from controlplane.kubernetes.api import open_api
from controlplane.kubernetes.leader import Leader
from tests.support.kubernetes import KubernetesServer

LEASE_S = 1.0


class Candidate:
    def __init__(self, leader: Leader) -> None:
        self.leader = leader
        self.works = 0
        self.ended = 0
        self.task = asyncio.create_task(leader.run(self._work))

    async def _work(self) -> None:
        self.works += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def candidates(server: KubernetesServer, namespace: str, *names: str) -> AsyncIterator[list[Candidate]]:
    async with open_api(server.kubeconfig()) as api:
        made = [Candidate(Leader(api, namespace, "ias", name, LEASE_S)) for name in names]
        try:
            yield made
        finally:
            for one in made:
                await one.stop()


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - the event is at the server
            await asyncio.sleep(0.02)


async def test_of_two_one_leads_and_the_other_follows_it_at_once(kubernetes: KubernetesServer, namespace: str) -> None:
    async with candidates(kubernetes, namespace, "a", "b") as both:
        await until(lambda: any(one.leader.leads for one in both))
        await asyncio.sleep(2 * LEASE_S)
        first = next(one for one in both if one.leader.leads)
        second = next(one for one in both if one is not first)
        assert (first.works, second.works) == (1, 0)
        await first.stop()
        assert (first.ended, first.leader.leads) == (1, False)
        await until(lambda: second.leader.leads, LEASE_S)
        lease = kubernetes.call("GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/ias")["spec"]
        assert (lease["holderIdentity"], lease["leaseTransitions"]) == (second.leader._identity, 2)


async def test_who_dies_is_followed_when_the_lease_has_ended(kubernetes: KubernetesServer, namespace: str) -> None:
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "leaseTransitions": 7}
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    kubernetes.call("POST", path, {"metadata": {"name": "ias"}, "spec": spec})
    async with candidates(kubernetes, namespace, "a") as (heir,):
        await asyncio.sleep(LEASE_S / 2)
        assert not heir.leader.leads
        await until(lambda: heir.leader.leads)
    assert kubernetes.call("GET", f"{path}/ias")["spec"]["leaseTransitions"] == 8


async def test_who_cannot_renew_stops_before_anybody_else_may_begin(kubernetes: KubernetesServer, namespace: str) -> None:
    async with candidates(kubernetes, namespace, "a") as (leader,):
        await until(lambda: leader.leader.leads)
        kubernetes.kill_api()
        await until(lambda: not leader.leader.leads, LEASE_S)
        assert leader.ended == 1
        kubernetes.start()
        await until(lambda: leader.leader.leads)
        assert leader.works == 2
