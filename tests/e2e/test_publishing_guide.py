"""docs/publishing_guide.md, run from its first command to its last as it stands. Only host and port are those of this machine."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.world import World, until
from tests.support.guide import Section, Shell, commands_of, sections_of
from tests.support.old_exports import OLD_KEY, export, published
from tests.support.simulator import Simulator, running_simulator
from tests.support.stack import Stack

PAGE = Path(__file__).parents[2] / "docs" / "publishing_guide.md"
SECTIONS = {section.title: section for section in sections_of(PAGE.read_text()) if section.blocks or section.rows}
HOSTNAME = "api.router.inference-in-a-box"
PUBLICATION = {"modelName": "my-model", "publicHostname": HOSTNAME, "status": "published"}
CHANGED_LIMITS = {"requestsPerMinute": 200, "requestsPerHour": 10000, "tokensPerHour": 100000, "burstLimit": 10}

OTHER_KIND = {
    "openai": {"Call a traditional model", "Call a traditional model from Python", "Call a traditional model from JavaScript"},
    "traditional": {"Call an OpenAI model"},
}
"""The guide calls one model both ways. The way that is not its kind is refused, with what to do instead."""


@pytest.fixture(params=["openai", "traditional"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(kind: str, stack: Stack | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    if stack is None:
        pytest.skip("its engine must reach the gateway, and its logs are read: only with a service that was started here")
    arguments = ["--traditional"] if kind == "traditional" else []
    with running_simulator(tmp_path_factory.mktemp("engine"), *arguments, "--models", "my-model,tenant-b-model,my-old-model") as running:
        yield running


@pytest.fixture
def llm(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An OpenAI engine for `my-llm`, whatever the other model is."""
    with running_simulator(tmp_path_factory.mktemp("llm"), "--models", "my-llm") as running:
        world.admin.call("POST", "/api/backend", json={"name": "my-llm-engine", "baseUrl": running.url})
        yield
        world.admin.raw("DELETE", "/api/models/my-llm/publish")
        world.admin.raw("DELETE", "/api/backend/my-llm-engine")


@pytest.fixture
def shell(kind: str, world: World, engine: Simulator, llm: None, stack: Stack, tmp_path: Path) -> Iterator[Shell]:
    """A reader at this machine. `.curlrc` leads the addresses of the page to the ports of the test."""
    api, gateway = (url.removeprefix("http://") for url in (world.api, world.gateway))
    (tmp_path / ".curlrc").write_text(
        f'silent\nshow-error\nfail-with-body\nconnect-to = "localhost:8085:{api}"\nconnect-to = "{HOSTNAME}:80:{gateway}"\n'
    )
    url = f"https://{HOSTNAME}/{'v1' if kind == 'openai' else 'published'}/models/my-old-model"
    tenants = {tenant: f"{tenant}-{kind}" for tenant in ("tenant-a", "tenant-b")}  # a slug is not free again at once
    old = published("my-old-model", tenants["tenant-a"], modelType=kind, externalUrl=url)
    (tmp_path / "backup-published-models.yaml").write_text(export(old))
    environment = {"IAS_ADMIN_URL": world.api, "IAS_ADMIN_PASSWORD": world.admin_password, "IAS_HOME": str(stack.home), "http_proxy": ""}
    addresses = {f"https://{HOSTNAME}": f"http://{HOSTNAME}", "http://10.0.0.7:8000": engine.url}
    password = {'"password": "password"': f'"password": {json.dumps(world.admin_password)}'}
    slugs = {f'"{tenant}"': f'"{slug}"' for tenant, slug in tenants.items()} | {
        f"--slug {tenant}": f"--slug {slug}" for tenant, slug in tenants.items()
    }
    yield Shell(tmp_path, environment, {**addresses, **password, **slugs})
    for model in ("my-model", "tenant-b-model", "my-old-model"):
        world.admin.raw("DELETE", f"/api/models/{model}/publish")
    for slug in tenants.values():
        world.admin.raw("DELETE", f"/api/org/{slug}")
    world.admin.raw("DELETE", "/api/backend/my-engine")


class Reader:
    """Goes through the page, section by section. For each a method says what must come of its commands."""

    def __init__(self, shell: Shell, world: World, kind: str) -> None:
        self.shell, self.world, self.kind = shell, world, kind
        self.publication = PUBLICATION | {"tenantId": f"tenant-a-{kind}", "modelType": kind}

    def read(self, section: Section) -> None:
        """Run the commands of a section in order and check what they printed."""
        if section.title not in OTHER_KIND[self.kind]:
            EXPECTED[section.title](self, *self._run(section))
            return
        with pytest.raises(AssertionError, match="does not take this request"):
            EXPECTED[section.title](self, *self._run(section))

    def accepts(self, api_key: str) -> bool:
        return httpx2.get(f"{self.world.gateway}/v1/models", headers={"x-api-key": api_key}).status_code == 200

    def recorded(self) -> bool:
        """What the next section shows is in the ledger soon."""
        return bool(self.world.admin.call("GET", "/api/models/my-model/publish")["usage"]["totalRequests"])

    def _run(self, section: Section) -> Iterator[str]:
        for language, block in section.blocks:
            if language == "sh":
                yield from (self.shell.run(command) for command in commands_of(block))
                continue
            values = {"your-api-key": self.shell.environment["API_KEY"], f"https://{HOSTNAME}": self.world.gateway}
            if language == "python":
                yield self.shell.run_file("python", f"{block}\nprint(result)\n", ".py", **values)
            else:
                assert language == "javascript"
                yield self.shell.run_file("node", f"{block}\nconsole.log(JSON.stringify(result));\n", ".mjs", **values)

    # --- what must come of each section: one argument for each command ---

    def tenants_and_engines(self, *printed: str) -> None:
        assert re.search(r"my-engine .*healthy", printed[-1])

    def signed_in(self, _: str) -> None:
        assert self.shell.environment["TOKEN"] not in {"", "null"}
        self.shell.environment["ADMIN_TOKEN"] = self.shell.environment["TOKEN"]

    def published(self, answer: str) -> None:
        made = json.loads(answer)
        self.shell.environment["API_KEY"] = made["apiKey"]
        has(
            made,
            **self.publication,
            externalPath="/models/my-model",
            authentication={"requireApiKey": True, "allowedTenants": [self.publication["tenantId"]]},
        )
        has(made["rateLimiting"], requestsPerMinute=100, requestsPerHour=5000, tokensPerHour=100000, burstLimit=10)

    def listed(self, answer: str, one: str) -> None:
        assert [item["modelName"] for item in json.loads(answer)["items"] if item["tenantId"] == self.publication["tenantId"]] == ["my-model"]
        has(json.loads(one), **self.publication)

    def changed(self, answer: str) -> None:
        has(json.loads(answer)["rateLimiting"], **CHANGED_LIMITS)

    def rotated(self, answer: str) -> None:
        before, after = self.shell.environment["API_KEY"], json.loads(answer)["apiKey"]
        assert after != before
        until(lambda: self.accepts(after))
        assert self.accepts(before), "the key before works on"
        self.shell.environment["API_KEY"] = after

    def not_shown_again(self, answer: str) -> None:
        assert answer == "null\n"

    def predicted(self, answer: str) -> None:
        assert "predictions" in answer, answer
        until(self.recorded)

    def chatted(self, answer: str) -> None:
        has(json.loads(answer), object="chat.completion", model="my-model")
        until(self.recorded)

    def used(self, answer: str) -> None:
        usage = json.loads(answer)
        assert set(usage) == {"totalRequests", "requestsToday", "tokensUsed", "lastAccessTime"}
        assert usage["totalRequests"] >= usage["requestsToday"] >= 1
        assert (usage["tokensUsed"] > 0) == (self.kind == "openai")
        assert usage["lastAccessTime"]

    def limits(self, shown: str, answer: str) -> None:
        has(json.loads(shown), **CHANGED_LIMITS)
        has(json.loads(answer)["rateLimiting"], **CHANGED_LIMITS)

    def validated(self, as_written: str, rotated: str) -> None:
        assert json.loads(as_written)["valid"] is False, "'your-api-key' is no key"
        api_key = json.loads(rotated)["apiKey"]
        command = next(command for command in commands_of(dict(SECTIONS["When requests are refused with 401"].blocks)["sh"]))
        assert json.loads(self.shell.run(command, **{"your-api-key": api_key}))["valid"] is True

    def renamed(self, unpublished: str, answer: str) -> None:
        assert unpublished == ""
        has(json.loads(answer), modelName="my-model", publicHostname="api.mycompany.com", externalPath="/models/my-model")

    def for_another_tenant(self, answer: str) -> None:
        has(json.loads(answer), modelName="tenant-b-model", tenantId=f"tenant-b-{self.kind}", externalPath="/models/tenant-b-model")

    def an_openai_model(self, answer: str) -> None:
        has(json.loads(answer), modelName="my-llm", modelType="openai", externalPath="/v1/models/my-llm")

    def older_publication(self, answer: str) -> None:
        has(json.loads(answer), **self.publication)

    def taken_over(self, plan: str, applied: str) -> None:
        tenant = self.publication["tenantId"]
        assert re.search(rf"{tenant} +my-old-model +publish ", plan)
        assert re.search(rf"{tenant} +my-old-model +published ", applied)
        kept = json.loads((self.shell.home / "new-keys.jsonl").read_text())
        has(kept, tenantId=tenant, modelName="my-old-model")
        until(lambda: self.accepts(kept["apiKey"]))
        assert not self.accepts(OLD_KEY)

    def counterparts(self) -> None:
        """Each command of Kubernetes has one of this machine that works, or a reason."""
        head, *rows = SECTIONS["Commands of Kubernetes"].rows
        assert (len(head), len(rows)) == (3, 15)
        for theirs, ours, reason in rows:
            assert theirs.strip("`").split()[0] in {"kubectl", "istioctl", "open"}
            assert reason
            assert not ours or self.shell.run(ours.strip("`")), ours


EXPECTED: dict[str, Callable[..., None]] = {
    "Tenants and engines": Reader.tenants_and_engines,
    "Sign in": Reader.signed_in,
    "Publish a model": Reader.published,
    "Look at published models": Reader.listed,
    "Change a published model": Reader.changed,
    "Rotate the API key": Reader.rotated,
    "The API key is not shown again": Reader.not_shown_again,
    "Call a traditional model": Reader.predicted,
    "Call an OpenAI model": Reader.chatted,
    "Call a traditional model from Python": Reader.predicted,
    "Call a traditional model from JavaScript": Reader.predicted,
    "See what was used": Reader.used,
    "When requests are refused with 429": Reader.limits,
    "When requests are refused with 401": Reader.validated,
    "Publish under another hostname": Reader.renamed,
    "Publish for another tenant": Reader.for_another_tenant,
    "Publish an OpenAI model": Reader.an_openai_model,
    "Give an older publication a hostname": Reader.older_publication,
    "Take over the publications of an older installation": Reader.taken_over,
    "Commands of Kubernetes": Reader.counterparts,
}


def test_every_command_of_the_guide(shell: Shell, world: World, kind: str) -> None:
    assert list(SECTIONS) == list(EXPECTED)
    reader = Reader(shell, world, kind)
    for section in SECTIONS.values():
        reader.read(section)


def has(found: Any, **expected: Any) -> None:
    assert {name: found[name] for name in expected} == expected
