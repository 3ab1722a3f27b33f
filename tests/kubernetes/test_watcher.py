"""The leader's watch on a real API server: what somebody changes is repaired soon, and how it stands is written down and told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from controlplane.gateway.ports import GatewayRejected, GatewayState
from controlplane.kubernetes.conditions import Standing, State
from controlplane.kubernetes.events import Event
from controlplane.kubernetes.gateway_kubernetes import KubernetesGateway
from controlplane.kubernetes.objects import Key, path_of
from controlplane.kubernetes.reconciler import ClusterWatcher
from tests.kubernetes.test_gateway import NOBODY, gateway_in, route_of, state_of, until_taken, versions
from tests.support.kubernetes import KubernetesServer


class ControlPlane:
    """The loop of `publishing/reconciler.py` without a database: it applies one state whenever it is woken."""

    def __init__(self, gateway: KubernetesGateway, state: GatewayState) -> None:
        self.gateway = gateway
        self.state = state
        self.woken = asyncio.Event()
        self.kept: dict[str, Standing] = {}
        self.told: list[Event] = []

    async def run(self) -> None:
        while True:
            await self.woken.wait()
            self.woken.clear()
            with suppress(GatewayRejected):
                await until_taken(self.gateway, self.state)

    async def keep(self, standings: Mapping[str, Standing]) -> None:
        self.kept = dict(standings)

    async def tell(self, event: Event) -> None:
        self.told.append(event)


@asynccontextmanager
async def watched(server: KubernetesServer, namespace: str, *models: str) -> AsyncIterator[tuple[ControlPlane, dict[Key, str]]]:
    async with gateway_in(server, namespace) as (gateway, cluster):
        plane = ControlPlane(gateway, state_of(*models))
        await gateway.apply(plane.state)
        watcher = ClusterWatcher(cluster, gateway, plane, plane.keep, plane.woken.set)
        tasks = [asyncio.create_task(plane.run()), asyncio.create_task(watcher.run())]
        try:
            await until(lambda: plane.kept.keys() == set(models))
            yield plane, await versions(cluster, namespace)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(true: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - the event is at the server
            await asyncio.sleep(0.02)


def exists(server: KubernetesServer, key: Key) -> bool:
    items = server.call("GET", path_of(key.api_version, key.kind, key.namespace))["items"]
    return key.name in {item["metadata"]["name"] for item in items}


async def test_what_is_deleted_by_hand_comes_back_without_waiting_for_a_resync(kubernetes: KubernetesServer, namespace: str) -> None:
    async with watched(kubernetes, namespace, "llama") as (_, found):
        await asyncio.sleep(1)  # until the watches have begun: a resync would come after half a minute
        key = route_of(found, "llama")
        kubernetes.call("DELETE", path_of(*key))
        await until(lambda: exists(kubernetes, key), 10)


async def test_how_it_stands_is_kept_and_trouble_is_told_once(kubernetes: KubernetesServer, namespace: str) -> None:
    async with watched(kubernetes, namespace, "llama", "qwen") as (plane, found):
        assert {standing.state for standing in plane.kept.values()} == {State.UNSEEN}
        key = route_of(found, "llama")
        edit = [{"op": "replace", "path": "/spec/parentRefs/0/name", "value": "another"}]
        kubernetes.call("PATCH", f"{path_of(*key)}?fieldManager=kubectl-edit", edit, content_type="application/json-patch+json")
        await until(lambda: plane.kept["llama"].state is State.CONFLICT)
        assert "kubectl-edit" in plane.kept["llama"].reason
        assert plane.kept["qwen"].state is State.UNSEEN
        plane.woken.set()
        await asyncio.sleep(1)
        assert [(event.about, event.reason) for event in plane.told] == [(key, "Conflict")]


async def test_what_controllers_say_is_kept(kubernetes: KubernetesServer, namespace: str) -> None:
    async with watched(kubernetes, namespace, "llama") as (plane, found):
        key = route_of(found, "llama")
        accepted = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        resolved = {**accepted, "type": "ResolvedRefs", "reason": "ResolvedRefs"}
        parent = {
            "parentRef": {"name": namespace},
            "controllerName": NOBODY,
            "conditions": [{**one, "observedGeneration": 1} for one in (accepted, resolved)],
        }
        status = {"status": {"parents": [parent]}}
        kubernetes.call("PATCH", f"{path_of(*key)}/status", status, content_type="application/merge-patch+json")
        await until(lambda: plane.kept["llama"].state is State.ACCEPTED)


async def test_the_watch_goes_on_after_the_api_server_was_away(kubernetes: KubernetesServer, namespace: str) -> None:
    async with watched(kubernetes, namespace, "llama") as (_, found):
        kubernetes.kill_api()
        kubernetes.start()
        key = route_of(found, "llama")
        kubernetes.call("DELETE", path_of(*key))
        await until(lambda: exists(kubernetes, key))
