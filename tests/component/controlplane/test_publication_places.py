"""Where publications are, and how many an org may have."""

from typing import Any

import pytest

from tests.component.controlplane.publications import problem, publish
from tests.component.controlplane.world import Person, World


async def test_hostnames_and_paths_are_kept_in_one_spelling(root: Person) -> None:
    made = (await publish(root, publicHostname="API.Bücher.Example.", externalPath="/apps/chat/")).json()
    assert (made["publicHostname"], made["externalPath"]) == ("api.xn--bcher-kva.example", "/apps/chat")
    assert problem(await publish(root, "embed", publicHostname="api.example:8080")) == (422, "invalid_request")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/x", "/metrics", "/models/embed", "/v1/models/embed"])
async def test_what_the_gateway_answers_itself_is_nobodys(root: Person, path: str) -> None:
    assert problem(await publish(root, externalPath=path)) == (422, "RESERVED_PATH")
    await publish(root)
    assert problem(await root.call("PUT", "/models/chat/publish", {"config": {"externalPath": path}})) == (422, "RESERVED_PATH")


@pytest.mark.parametrize(
    ("theirs", "ours", "meets"),
    [
        ({"externalPath": "/a"}, {"externalPath": "/a"}, True),
        ({"externalPath": "/a"}, {"externalPath": "/a/b"}, True),
        ({"externalPath": "/a/b"}, {"externalPath": "/a"}, True),
        ({"externalPath": "/a_b"}, {"externalPath": "/a"}, False),
        ({"externalPath": "/ab"}, {"externalPath": "/a"}, False),
        ({"externalPath": "/a", "publicHostname": "x.example"}, {"externalPath": "/a", "publicHostname": "y.example"}, False),
        ({"externalPath": "/a", "publicHostname": "x.example"}, {"externalPath": "/a", "publicHostname": "X.example"}, True),
        ({"externalPath": "/a", "publicHostname": "x.example"}, {"externalPath": "/a"}, True),
        ({"externalPath": "/a"}, {"externalPath": "/a/b", "publicHostname": "x.example"}, True),
    ],
)
async def test_addresses_do_not_meet(root: Person, theirs: dict[str, Any], ours: dict[str, Any], meets: bool) -> None:
    assert (await publish(root, "embed", **theirs)).status_code == 201
    answer = await publish(root, **ours)
    assert (answer.status_code == 409) is meets, answer.text
    if meets:
        assert answer.json()["code"] == "ADDRESS_TAKEN"
        assert (await publish(root)).status_code == 201
        assert problem(await root.call("PUT", "/models/chat/publish", {"config": ours})) == (409, "ADDRESS_TAKEN")
        await root.ok("DELETE", "/models/embed/publish")
        await root.ok("PUT", "/models/chat/publish", {"config": ours})


async def test_an_org_uses_its_hostnames_only(root: Person) -> None:
    allowed = await root.ok("PUT", "/org/alpha/publishing", {"hostnames": ["*.Alpha.Example", "alpha.example"]})
    assert allowed["hostnames"] == ["*.alpha.example", "alpha.example"]
    refused = await publish(root, publicHostname="beta.example")
    assert problem(refused) == (422, "HOSTNAME_NOT_ALLOWED")
    assert "alpha.example" in refused.json()["detail"]
    assert (await publish(root, publicHostname="api.alpha.example")).status_code == 201
    change = {"config": {"publicHostname": "beta.example"}}
    assert problem(await root.call("PUT", "/models/chat/publish", change)) == (422, "HOSTNAME_NOT_ALLOWED")
    await root.ok("PUT", "/org/alpha/publishing", {})
    await root.ok("PUT", "/models/chat/publish", change)


async def test_an_org_has_no_more_publications_than_it_may(world: World, root: Person) -> None:
    await root.ok("PUT", "/org/alpha/publishing", {"maxPublications": 1})
    await publish(root)
    refused = await publish(root, "embed")
    assert problem(refused) == (409, "TOO_MANY_PUBLICATIONS")
    assert "1 published" in refused.json()["detail"]
    assert (await publish(root, "embed", tenantId="beta")).status_code == 201, "each org has its own number"
    shown = await root.ok("GET", "/org/alpha/publishing")
    assert shown == {"maxPublications": 1, "hostnames": None, "publications": 1, "effectiveMaxPublications": 1}
    await root.ok("DELETE", "/models/chat/publish")
    assert (await publish(root)).status_code == 201


async def test_what_an_org_may_publish_is_a_system_admins_matter(world: World, root: Person) -> None:
    for method, body in (("GET", None), ("PUT", {})):
        assert problem(await world["alpha-admin"].call(method, "/org/alpha/publishing", body)) == (403, "forbidden")
        assert problem(await root.call(method, "/org/nobody/publishing", body)) == (404, "org_not_found")
