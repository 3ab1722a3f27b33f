"""What holds for every route: errors, limits, headers, health."""

import asyncio

import httpx2
import pytest
from fastapi import FastAPI

from controlplane.app import application
from controlplane.settings import ApiSettings
from tests.component.controlplane.world import World


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/no-such-thing", 404, "unknown_url"),
        ("GET", "/", 404, "unknown_url"),
        ("PATCH", "/api/org", 405, "method_not_allowed"),
        ("GET", "/api/org/", 404, "unknown_url"),
    ],
)
async def test_errors_of_the_framework_have_our_shape(world: World, method: str, path: str, status: int, code: str) -> None:
    response = await world.http.request(method, path)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["status"], problem["code"], problem["type"]) == (status, status, code, f"/api/problems/{code}")


async def test_a_method_that_is_not_there_tells_all_that_are(world: World) -> None:
    assert (await world.http.patch("/api/org")).headers["allow"] == "GET, POST"
    assert (await world.http.post("/api/published-models")).headers["allow"] == "GET"


@pytest.mark.parametrize("moment", ["0.5", "1764000000", "2030-01-01", "2030-01-01T00:00:00"])
async def test_a_moment_is_rfc_3339_and_nothing_else(world: World, moment: str) -> None:
    response = await world["root"].call("GET", f"/analytics/system?from={moment}")
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "from")


async def test_a_body_that_is_not_json_is_refused(world: World) -> None:
    headers = {**world["alpha-user"].headers, "content-type": "application/json"}
    response = await world.http.post("/api/key", content=b'{"name": ', headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"", b"1" * 5000, b"[" * 100_000])
async def test_json_of_another_kind_is_refused_politely(world: World, body: bytes) -> None:
    headers = {**world["alpha-user"].headers, "content-type": "application/json"}
    response = await world.http.post("/api/key", content=body, headers=headers)
    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"


async def test_an_unknown_field_and_an_unknown_parameter_are_named(world: World) -> None:
    for response in (await world["root"].call("POST", "/org", {"name": "x", "colour": "red"}), await world["root"].call("GET", "/org?colour=red")):
        assert response.status_code == 422
        assert response.json()["errors"] == [{"field": "colour", "message": "Unknown field."}]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_above_the_limit_is_refused_before_authentication(world: World, declared: bool) -> None:
    async def chunks() -> object:
        for _ in range(17):
            yield b" " * 65536

    content = b" " * (1024 * 1024 + 1) if declared else chunks()
    response = await world.http.post("/api/key", content=content)
    assert (response.status_code, response.json()["code"]) == (413, "request_too_large")


async def test_every_answer_carries_a_request_id_and_keeps_a_good_one(world: World) -> None:
    assert (await world.http.get("/healthz", headers={"x-request-id": "from-the-client"})).headers["x-request-id"] == "from-the-client"
    for bad in ("short", "x" * 65, "with space!"):
        made = (await world.http.get("/nowhere", headers={"x-request-id": bad})).headers["x-request-id"]
        assert made != bad
        assert len(made) == 36


async def test_a_bug_of_ours_is_a_problem_without_details_and_a_failed_row(world: World, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("controlplane.orgs.service.create", broken)
    response = await world["root"].call("POST", "/org", {"name": "x"})
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "secret detail" not in response.text
    assert [(row.action_type, row.outcome) for row in await world.audit()] == [("org.create", "failed")]


async def test_health_and_readiness(world: World) -> None:
    assert (await world.http.get("/healthz")).json() == {"status": "ok"}
    assert (await world.http.get("/readyz")).status_code == 200


async def test_without_a_database_it_lives_is_not_ready_and_answers_503() -> None:
    settings = ApiSettings(database_url="postgresql://x@/x?host=/nonexistent", peppers={1: "11" * 32}, token_secret="s" * 32)
    async with application(settings) as app:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://api") as http:
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/readyz")).status_code == 503
            refused = await http.post("/api/login", json={"username": "root", "password": "x"})
            assert (refused.status_code, refused.json()["code"]) == (503, "service_unavailable")
            assert refused.headers["retry-after"] == "1"


async def test_more_requests_than_connections_are_all_served(world: World) -> None:
    answers = await asyncio.gather(*(world["root"].call("GET", "/org") for _ in range(30)))
    assert {answer.status_code for answer in answers} == {200}


async def test_openapi_is_complete(world: World) -> None:
    document = (await world.http.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = f"{method} {path}"
            assert operation["summary"], place
            assert operation["tags"], place
            assert "500" in operation["responses"], place
            bodies = [operation.get("requestBody", {}), *(response for status, response in operation["responses"].items() if status < "3")]
            for content in (content for body in bodies for content in body.get("content", {}).values()):
                assert "example" in content, place
    for name, schema in document["components"]["schemas"].items():
        assert not [field for field in schema.get("properties", {}) if "_" in field], name


async def test_the_type_of_a_problem_leads_to_its_explanation(world: World) -> None:
    problem = (await world["alpha-user"].call("POST", "/org", {"name": "x"})).json()
    page = (await world.http.get(problem["type"])).json()
    assert page == {"code": "forbidden", "statuses": [403], "meaning": "Your role does not allow this. The role matrix says who may."}
    listed = [page["code"] for page in (await world.http.get("/api/problems")).json()["items"]]
    assert listed == sorted(listed)
    assert (await world.http.get("/api/problems/none")).status_code == 404


@pytest.mark.parametrize("path", ["/catalog?backend=%00", "/org/alpha/approval?backend=%00", "/org/alpha/model?provider=%00"])
async def test_a_filter_that_postgresql_could_not_hold_is_refused(world: World, path: str) -> None:
    refused = await world["root"].call("GET", path)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
