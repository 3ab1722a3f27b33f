"""Several backends behind a publication: what is asked for, kept, shown, and handed to the gateway."""

from typing import Any

import pytest

from controlplane.gateway.ports import GatewayTarget, GatewayTraffic
from tests.component.controlplane.publications import problem, publish, reconciled
from tests.component.controlplane.world import Person, World
from tests.support.engine import Engine
from tests.support.gateway_memory import REJECTED, MemoryGateway

BOTH = [{"name": "a", "weight": 300}, {"name": "b", "priority": 1}]


def targets(gateway: MemoryGateway) -> list[tuple[int, int]]:
    """Weights and priorities of the one route."""
    (route,) = gateway.served.routes
    return [(target.weight, target.priority) for target in route.targets]


async def test_a_model_at_two_backends(world: World, root: Person, gateway: MemoryGateway) -> None:
    made = (await publish(root, "shared", backends=BOTH)).json()
    assert made["backend"] == "a"
    assert made["backends"] == [
        {"name": "a", "weight": 300, "priority": 0, "health": "healthy", "healthReason": None},
        {"name": "b", "weight": 100, "priority": 1, "health": "healthy", "healthReason": None},
    ]
    assert targets(gateway) == [(300, 0), (100, 1)]
    assert len(gateway.served.backends) == 2


async def test_weights_change_and_backends_come_and_go(root: Person, gateway: MemoryGateway) -> None:
    await publish(root, "shared", backends=BOTH)
    changed = await root.ok("PUT", "/models/shared/publish", {"config": {"backends": [{"name": "b", "weight": 7}, {"name": "a", "weight": 3}]}})
    assert [(one["name"], one["weight"]) for one in changed["backends"]] == [("b", 7), ("a", 3)]
    assert sorted(targets(gateway)) == [(3, 0), (7, 0)]
    changed = await root.ok("PUT", "/models/shared/publish", {"config": {"backend": "b"}})
    assert [one["name"] for one in changed["backends"]] == ["b"]
    assert targets(gateway) == [(100, 0)]


async def test_another_name_at_the_engines_must_be_known_to_all_of_them(root: Person) -> None:
    await publish(root, "shared", backends=BOTH)
    refused = await root.call("PUT", "/models/shared/publish", {"config": {"upstreamModel": "chat"}})
    assert problem(refused) == (404, "MODEL_NOT_FOUND")
    assert "'b'" in refused.json()["detail"]
    assert (await root.ok("GET", "/models/shared/publish"))["upstreamModel"] == "shared"


async def test_one_backend_that_answers_is_enough(root: Person, engine_a: Engine, engine_b: Engine) -> None:
    engine_a.answers["/health"] = (500, b"")
    await root.ok("POST", "/backend/a/check")
    made = (await publish(root, "shared", backends=BOTH)).json()
    assert [one["health"] for one in made["backends"]] == ["unhealthy", "healthy"]
    await root.ok("DELETE", "/models/shared/publish")
    engine_b.answers["/health"] = (500, b"")
    await root.ok("POST", "/backend/b/check")
    assert problem(await publish(root, "shared", backends=BOTH)) == (409, "MODEL_NOT_READY")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"backends": []}, (422, "invalid_request")),
        ({"backends": BOTH, "backend": "a"}, (422, "invalid_request")),
        ({"backends": [{"name": "a", "weight": 0}]}, (422, "invalid_request")),
        ({"backends": [{"name": "a", "priority": 99}]}, (422, "invalid_request")),
        ({"backends": [{"name": "a"}, {"name": "a"}]}, (422, "INVALID_BACKENDS")),
        ({"backends": [{"name": "a"}, {"name": "nobody"}]}, (404, "MODEL_NOT_FOUND")),
        ({"traffic": {"maxRequests": 0}}, (422, "invalid_request")),
    ],
)
async def test_targets_that_make_no_sense(world: World, root: Person, config: dict[str, Any], expected: tuple[int, str]) -> None:
    assert problem(await publish(root, "shared", **{"backend": "a", **config} if "traffic" in config else config)) == expected
    assert await world.rows("SELECT 1 FROM publications") == []


async def test_a_backend_that_is_one_of_several_is_in_use(root: Person) -> None:
    await publish(root, "shared", backends=BOTH)
    assert problem(await root.call("DELETE", "/backend/b")) == (409, "backend_in_use")


async def test_what_its_connections_may_take_reaches_the_gateway_and_changes_in_part(root: Person, gateway: MemoryGateway) -> None:
    made = (await publish(root, traffic={"maxRequests": 8, "silenceTimeoutSeconds": 30})).json()
    assert (made["traffic"]["maxRequests"], made["traffic"]["connectTimeoutMs"], made["traffic"]["maxConnections"]) == (8, 2000, None)
    await root.ok("PUT", "/models/chat/publish", {"config": {"traffic": {"silenceTimeoutSeconds": None, "connectTimeoutMs": 100}}})
    (route,) = gateway.served.routes
    assert route.traffic == GatewayTraffic(connect_timeout_ms=100, max_requests=8)


async def test_what_a_backend_can_take_reaches_the_gateway_and_changes_in_part(root: Person, gateway: MemoryGateway, world: World) -> None:
    await publish(root)
    set_to = await root.ok("PUT", "/backend/a", {"traffic": {"maxRequests": 256, "silenceTimeoutSeconds": 30}})
    assert (set_to["traffic"]["maxRequests"], set_to["traffic"]["connectTimeoutMs"]) == (256, 2000)
    await root.ok("PUT", "/backend/a", {"traffic": {"silenceTimeoutSeconds": None}})
    await root.ok("PUT", "/backend/a", {"probeIntervalS": 5})
    await reconciled(world)
    (backend,) = gateway.served.backends
    assert backend.traffic == GatewayTraffic(max_requests=256)
    assert gateway.served.routes[0].traffic == GatewayTraffic()
    assert (await root.ok("PUT", "/backend/a", {"traffic": None}))["traffic"]["maxRequests"] is None


async def test_targets_that_the_gateway_refuses_change_nothing(root: Person, gateway: MemoryGateway) -> None:
    await publish(root, "shared", backends=BOTH)
    gateway.fails_with = REJECTED
    assert problem(await root.call("PUT", "/models/shared/publish", {"config": {"backend": "b"}})) == (502, "GATEWAY_REJECTED")
    assert [one["name"] for one in (await root.ok("GET", "/models/shared/publish"))["backends"]] == ["a", "b"]


async def test_what_the_version_before_wrote_is_understood(world: World, root: Person, gateway: MemoryGateway) -> None:
    """It knows `backend_id` alone: when it moves a model, the targets are not what they were."""
    await publish(root, "shared", backend="a")
    await world.rows("UPDATE publications SET backend_id = (SELECT id FROM backends WHERE name = 'b') RETURNING 1")
    await reconciled(world)
    (route,) = gateway.served.routes
    (b,) = await world.rows("SELECT id FROM backends WHERE name = 'b'")
    assert route.targets == (GatewayTarget(str(b.id)),)
    assert [one["name"] for one in (await root.ok("GET", "/models/shared/publish"))["backends"]] == ["b"]
