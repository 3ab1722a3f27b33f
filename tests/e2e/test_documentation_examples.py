"""Every example of a model's documentation, run as its reader would: it ends well and prints what the page says."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx2
import pytest

from tests.e2e.world import CHAT, Tenant, World, until
from tests.support.documents import Example, examples_in
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

CHAT_EXAMPLES = ["curl", "curl, streaming", "Python", "Python, streaming", "JavaScript", "JavaScript, streaming"]
EMBEDDING_EXAMPLES = ["curl", "Python", "JavaScript"]
TRADITIONAL_EXAMPLES = ["curl, KServe v1", "curl, KServe v2", "Python", "JavaScript (Node.js 18 or newer)"]
LIMIT_REACHED = "Python, when a limit is reached"


def documentation(world: World, tenant: Tenant, model: str, form: str) -> httpx2.Response:
    """What a member of the org reads."""
    answer = tenant.user.raw("GET", f"/api/models/{model}/publish/documentation", headers={"accept": f"text/{form}"})
    assert answer.status_code == 200, answer.text
    return answer


def examples_of(world: World, tenant: Tenant, model: str) -> dict[str, Example]:
    found = examples_in(documentation(world, tenant, model, "markdown").text)
    page = unescape(documentation(world, tenant, model, "html").text)
    assert not [example for example in found.values() if example.code not in page or example.prints not in page], "both forms have the same"
    return found


@pytest.fixture(scope="module")
def chat(module_world: World, tenant: Tenant, model: str) -> dict[str, Example]:
    return examples_of(module_world, tenant, model)


@pytest.fixture(scope="module")
def embeddings(module_world: World, tenant: Tenant) -> dict[str, Example]:
    return examples_of(module_world, tenant, module_world.publish(tenant, upstream="sim-embed"))


@pytest.fixture(scope="module")
def iris(module_world: World, stack: Stack | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model server's backend."""
    if stack is None:
        pytest.skip("its engine must reach the gateway: only with a service that was started here")
    with running_simulator(tmp_path_factory.mktemp("iris"), "--traditional", "--models", "iris") as running:
        module_world.admin.call("POST", "/api/backend", json={"name": "iris-server", "baseUrl": running.url})
        yield "iris-server"


@pytest.fixture(scope="module", params=[True, False], ids=["with a key", "without a key"])
def traditional(request: pytest.FixtureRequest, module_world: World, tenant: Tenant, iris: str) -> dict[str, Example]:
    name = f"iris-{'keyed' if request.param else 'open'}"
    authentication = {"requireApiKey": request.param, "allowedTenants": [tenant.slug]}
    config = {"tenantId": tenant.slug, "upstreamModel": "iris", "backend": iris, "authentication": authentication}
    module_world.admin.call("POST", f"/api/models/{name}/publish", json={"config": config})
    found = examples_of(module_world, tenant, name)
    assert any("IAS_API_KEY" in example.code for example in found.values()) == request.param
    return found


def test_no_example_is_forgotten_here(chat: dict[str, Example], embeddings: dict[str, Example], traditional: dict[str, Example]) -> None:
    assert list(traditional) == TRADITIONAL_EXAMPLES
    assert list(chat) == [LIMIT_REACHED, *CHAT_EXAMPLES]
    assert list(embeddings) == EMBEDDING_EXAMPLES


@pytest.mark.parametrize("title", CHAT_EXAMPLES)
def test_a_chat_example(title: str, chat: dict[str, Example], tenant: Tenant, tmp_path: Path) -> None:
    printed = chat[title].run(tmp_path, tenant.api_key)
    assert chat[title].expects(printed), printed


@pytest.mark.parametrize("title", EMBEDDING_EXAMPLES)
def test_an_embeddings_example(title: str, embeddings: dict[str, Example], tenant: Tenant, tmp_path: Path) -> None:
    printed = embeddings[title].run(tmp_path, tenant.api_key)
    assert embeddings[title].expects(printed), printed


@pytest.mark.parametrize("title", TRADITIONAL_EXAMPLES)
def test_a_traditional_example(title: str, traditional: dict[str, Example], tenant: Tenant, tmp_path: Path) -> None:
    printed = traditional[title].run(tmp_path, tenant.api_key)
    assert traditional[title].expects(printed), printed


def test_the_tokens_that_examples_print_are_those_of_the_ledger(world: World, tmp_path: Path) -> None:
    tenant = world.tenant()
    found = examples_of(world, tenant, world.publish(tenant))
    printed = 0
    for number, title in enumerate(title for title in CHAT_EXAMPLES if "curl" not in title):
        folder = tmp_path / str(number)
        folder.mkdir()
        printed += int(re.findall(r"tokens: (\d+)", found[title].run(folder, tenant.api_key))[-1])

    def counted() -> int:
        totals = world.totals(tenant)
        return totals["inputTokens"] + totals["outputTokens"]

    until(lambda: counted() == printed, 10)


def test_what_a_program_meets_when_a_limit_is_reached_is_what_the_page_shows(world: World, tmp_path: Path) -> None:
    tenant = world.tenant()
    model = world.publish(tenant, requestsPerHour=1)
    page = documentation(world, tenant, model, "markdown").text
    until(lambda: _ask(world, tenant, model).status_code == 429)
    example = examples_in(page)[LIMIT_REACHED]
    printed = example.run(tmp_path, tenant.api_key)
    assert example.expects(printed), printed
    answer = _ask(world, tenant, model)
    shown = tenant.user.call("GET", f"/api/models/{model}/publish/documentation?format=json")["tooManyRequests"][0]
    assert answer.status_code == shown["status"]
    assert {header["name"] for header in shown["headers"]} <= answer.headers.keys()
    error, example_error = answer.json()["error"], httpx2.Response(429, content=shown["body"]).json()["error"]
    assert (error.keys(), error["type"], error["code"]) == (example_error.keys(), example_error["type"], example_error["code"])
    assert re.sub(r"\d+", "n", error["message"]).replace("Hour", "Minute") == re.sub(r"\d+", "n", example_error["message"])


def _ask(world: World, tenant: Tenant, model: str) -> httpx2.Response:
    headers = {"authorization": f"Bearer {tenant.api_key}"}
    return httpx2.post(f"{world.gateway}/v1/chat/completions", json={"model": model, "messages": CHAT}, headers=headers)
