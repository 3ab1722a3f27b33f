"""The gateway port on a real API server: what is rendered is accepted, and the cluster becomes what is desired, however it was before."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from controlplane.gateway.ports import GatewayBackend, GatewayRejected, GatewayRoute, GatewayState, GatewayUnreachable
from controlplane.kubernetes.api import open_api
from controlplane.kubernetes.cluster_api import KubernetesCluster
from controlplane.kubernetes.conditions import State
from controlplane.kubernetes.gateway_kubernetes import KubernetesGateway
from controlplane.kubernetes.objects import Key, Manifest, key_of, model_of, path_of
from controlplane.kubernetes.profile import Endpoint, GatewayProfile, Listener
from tests.support.kubernetes import KubernetesServer

NOBODY = "tests.example/nobody"
"""No controller: an Envoy Gateway of other tests would write what it thinks into our objects."""


def profile_in(namespace: str, **chosen: object) -> GatewayProfile:
    return GatewayProfile(
        extauth=Endpoint(service="extauth", port=9001),
        extproc=Endpoint(service="extproc", port=9002),
        listeners=(Listener(name="https", port=8443, certificate="gateway"),),
        namespace=namespace,
        gateway=namespace,
        gateway_class=namespace,
        controller=NOBODY,
        **chosen,
    )


def state_of(*models: str, url: str = "http://10.0.0.1:8000") -> GatewayState:
    backends = tuple(GatewayBackend(f"b-{model}", url) for model in models)
    return GatewayState(backends, tuple(GatewayRoute.to_one(model, f"b-{model}") for model in models))


@asynccontextmanager
async def gateway_in(server: KubernetesServer, namespace: str, **chosen: object) -> AsyncIterator[tuple[KubernetesGateway, KubernetesCluster]]:
    async with open_api(server.kubeconfig()) as api:
        cluster = KubernetesCluster(api, namespace, namespace)
        yield KubernetesGateway(cluster, profile_in(namespace, **chosen), confirm_s=0), cluster


async def versions(cluster: KubernetesCluster, namespace: str) -> dict[Key, str]:
    return {key_of(found): found["metadata"]["resourceVersion"] for found in await cluster.live({namespace})}


async def until_taken(gateway: KubernetesGateway, state: GatewayState) -> None:
    """Apply as the loop in `publishing/reconciler.py` does: again, after what is transient."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return await gateway.apply(state)
        except GatewayUnreachable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


def models_in(live: Iterable[Manifest]) -> set[str]:
    return {model_of(manifest) for manifest in live} - {""}


def route_of(found: dict[Key, str], model: str) -> Key:
    return next(key for key in found if key.kind == "HTTPRoute" and model in key.name)


async def test_a_state_is_applied_once_and_the_second_time_is_nothing(kubernetes: KubernetesServer, namespace: str) -> None:
    async with gateway_in(kubernetes, namespace) as (gateway, cluster):
        await gateway.apply(state_of("llama", "qwen"))
        before = await versions(cluster, namespace)
        assert {key.kind for key in before} >= {"GatewayClass", "Gateway", "HTTPRoute", "Backend", "SecurityPolicy", "EnvoyExtensionPolicy"}
        await gateway.apply(state_of("llama", "qwen"))
        assert await versions(cluster, namespace) == before


async def test_unpublishing_leaves_nothing_of_the_model_and_of_others_everything(kubernetes: KubernetesServer, namespace: str) -> None:
    async with gateway_in(kubernetes, namespace) as (gateway, cluster):
        await gateway.apply(state_of("qwen"))
        alone = await versions(cluster, namespace)
        await gateway.apply(state_of("llama", "qwen"))
        assert len(await versions(cluster, namespace)) > len(alone)
        await gateway.apply(state_of("qwen"))
        assert await versions(cluster, namespace) == alone


async def test_what_was_deleted_or_cut_by_hand_is_repaired(kubernetes: KubernetesServer, namespace: str) -> None:
    async with gateway_in(kubernetes, namespace) as (gateway, cluster):
        await gateway.apply(state_of("llama", "qwen"))
        before = await versions(cluster, namespace)
        gone, cut = route_of(before, "llama"), route_of(before, "qwen")
        kubernetes.call("DELETE", path_of(*gone))
        removal = [{"op": "remove", "path": "/spec/parentRefs"}]
        kubernetes.call("PATCH", f"{path_of(*cut)}?fieldManager=somebody", removal, content_type="application/json-patch+json")
        await gateway.apply(state_of("llama", "qwen"))
        after = await versions(cluster, namespace)
        assert after.keys() == before.keys()
        assert {key for key in after if after[key] != before[key]} == {gone, cut}
        assert kubernetes.call("GET", path_of(*cut))["spec"]["parentRefs"][0]["name"] == namespace


async def test_a_field_that_somebody_else_took_is_left_to_them_and_told(kubernetes: KubernetesServer, namespace: str) -> None:
    async with gateway_in(kubernetes, namespace) as (gateway, cluster):
        await gateway.apply(state_of("llama", "qwen"))
        key = route_of(await versions(cluster, namespace), "llama")
        edit = [{"op": "replace", "path": "/spec/parentRefs/0/name", "value": "another"}]
        kubernetes.call("PATCH", f"{path_of(*key)}?fieldManager=kubectl-edit", edit, content_type="application/json-patch+json")
        with pytest.raises(GatewayRejected, match=r"kubectl-edit.*"):
            await gateway.apply(state_of("llama", "qwen"))
        assert gateway.problems[key].state is State.CONFLICT
        assert "spec.parentRefs" in gateway.problems[key].reason
        assert kubernetes.call("GET", path_of(*key))["spec"]["parentRefs"][0]["name"] == "another"
        # Known by now, it keeps nobody else from publishing.
        await gateway.apply(state_of("llama", "qwen", "phi"))
        assert gateway.problems.keys() == {key}


async def test_what_others_add_is_not_ours_to_judge(kubernetes: KubernetesServer, namespace: str) -> None:
    async with gateway_in(kubernetes, namespace) as (gateway, cluster):
        await gateway.apply(state_of("llama"))
        key = route_of(await versions(cluster, namespace), "llama")
        note = {"metadata": {"annotations": {"team": "search"}}}
        kubernetes.call("PATCH", f"{path_of(*key)}?fieldManager=somebody", note, content_type="application/merge-patch+json")
        before = await versions(cluster, namespace)
        await gateway.apply(state_of("llama"))
        assert await versions(cluster, namespace) == before


async def test_a_manifest_that_the_cluster_refuses_is_rejected_with_its_reason(kubernetes: KubernetesServer, namespace: str) -> None:
    async with gateway_in(kubernetes, namespace) as (_, cluster):
        for spec, reason in (({"endpoints": [{}]}, "endpoints"), ({"endpoint": []}, "field not declared in schema")):
            wrong = {
                "apiVersion": "gateway.envoyproxy.io/v1alpha1",
                "kind": "Backend",
                "metadata": {"name": "w", "namespace": namespace},
                "spec": spec,
            }
            with pytest.raises(GatewayRejected, match=reason):
                await cluster.apply(wrong)


async def test_an_api_server_that_restarts_in_the_midst_is_gone_on_with(kubernetes: KubernetesServer, namespace: str) -> None:
    models = [f"m{number}" for number in range(60)]
    async with gateway_in(kubernetes, namespace) as (gateway, cluster):
        applying = asyncio.create_task(gateway.apply(state_of(*models)))
        while not kubernetes.call("GET", path_of("gateway.envoyproxy.io/v1alpha1", "Backend", namespace))["items"]:  # noqa: ASYNC110 - at the server
            await asyncio.sleep(0.01)
        kubernetes.kill_api()
        with pytest.raises(GatewayUnreachable):
            await applying
        kubernetes.start()
        await until_taken(gateway, state_of(*models))
        assert sum(key.kind == "HTTPRoute" for key in await versions(cluster, namespace)) >= len(models)


async def test_what_somebody_waits_for_does_not_wait_for_all_that_a_cluster_has_lost(kubernetes: KubernetesServer, namespace: str) -> None:
    lost = [f"m{number}" for number in range(40)]
    async with gateway_in(kubernetes, namespace) as (gateway, cluster):
        assert await gateway.apply(state_of("old"))
        assert not await gateway.apply(state_of(*lost, "urgent"), ["urgent"]), "the rest is left"
        assert models_in(await cluster.live({namespace})) == {"old", "urgent"}
        assert sum(key.kind == "Backend" for key in await versions(cluster, namespace)) == 2
        assert await gateway.apply(state_of(*lost, "urgent"))
        assert models_in(await cluster.live({namespace})) == {*lost, "urgent"}
        assert await gateway.apply(state_of(*lost, "urgent"), ["urgent"]), "nothing was left"


async def test_what_is_much_is_written_in_portions(kubernetes: KubernetesServer, namespace: str) -> None:
    models = [f"m{number}" for number in range(20)]
    async with open_api(kubernetes.kubeconfig()) as api:
        cluster = KubernetesCluster(api, namespace, namespace)
        gateway = KubernetesGateway(cluster, profile_in(namespace), confirm_s=0, at_once=15)
        turns = 1
        while not await gateway.apply(state_of(*models)):
            turns += 1
        assert turns == -(-len(await cluster.live({namespace})) // 15)
        assert models_in(await cluster.live({namespace})) == set(models)


async def test_five_hundred_publications(kubernetes: KubernetesServer, namespace: str) -> None:
    models = [f"m{number}" for number in range(500)]
    async with gateway_in(kubernetes, namespace) as (gateway, cluster):
        started = time.monotonic()
        await gateway.apply(state_of(*models))
        first = time.monotonic() - started
        before = await versions(cluster, namespace)
        started = time.monotonic()
        await gateway.apply(state_of(*models))
        again = time.monotonic() - started
        print(f"500 publications, {len(before)} objects: written in {first:.1f} s, compared in {again:.2f} s")
        assert await versions(cluster, namespace) == before
