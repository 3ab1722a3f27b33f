"""docs/publishing_guide.md, run from its first command to its last as it stands. Only host and port are those of this machine."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import World, until
from tests.support.guide import Section, Shell, commands_of, sections_of
from tests.support.old_exports import OLD_KEY, export, published
from tests.support.simulator import Simulator, running_simulator
from tests.support.stack import Stack

PAGE = Path(__file__).parents[2] / "docs" / "publishing_guide.md"
MODELS = ("my-model", "my-llm", "tenant-b-model", "my-old-model")
SECTIONS = {section.title: section for section in sections_of(PAGE.read_text()) if section.blocks or section.rows}
HOSTNAME = "api.router.inference-in-a-box"
PUBLICATION = {"modelName": "my-model", "tenantId": "tenant-a", "publicHostname": HOSTNAME, "status": "published"}
CHANGED_LIMITS = {"requestsPerMinute": 200, "requestsPerHour": 10000, "tokensPerHour": 100000, "burstLimit": 10}

NOT_YET = {
    "Call a traditional model": "traditional models are not published yet",
    "Call a traditional model from Python": "the same",
    "Call a traditional model from JavaScript": "the same",
}
"""Sections that do not work as written, and why. Each must fail: one that works is taken off the list."""


@pytest.fixture(scope="module")
def engine(stack: Stack | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    if stack is None:
        pytest.skip("its engine must reach the gateway, and its logs are read: only with a service that was started here")
    with running_simulator(tmp_path_factory.mktemp("engine"), "--models", ",".join(MODELS)) as running:
        yield running


@pytest.fixture
def shell(world: World, engine: Simulator, stack: Stack, tmp_path: Path) -> Iterator[Shell]:
    """A reader at this machine. `.curlrc` leads the addresses of the page to the ports of the test."""
    api, gateway = (url.removeprefix("http://") for url in (world.api, world.gateway))
    (tmp_path / ".curlrc").write_text(
        f'silent\nshow-error\nfail-with-body\nconnect-to = "localhost:8085:{api}"\nconnect-to = "{HOSTNAME}:80:{gateway}"\n'
    )
    old = published("my-old-model", modelType="openai", externalUrl=f"https://{HOSTNAME}/v1/models/my-old-model")
    (tmp_path / "backup-published-models.yaml").write_text(export(old))
    environment = {"IAS_ADMIN_URL": world.api, "IAS_ADMIN_PASSWORD": world.admin_password, "IAS_HOME": str(stack.home), "http_proxy": ""}
    addresses = {f"https://{HOSTNAME}": f"http://{HOSTNAME}", "http://10.0.0.7:8000": engine.url}
    yield Shell(tmp_path, environment, {**addresses, '"password": "password"': f'"password": {json.dumps(world.admin_password)}'})
    for model in MODELS:
        world.admin.raw("DELETE", f"/api/models/{model}/publish")
    for tenant in ("tenant-a", "tenant-b"):
        world.admin.raw("DELETE", f"/api/org/{tenant}")
    world.admin.raw("DELETE", "/api/backend/my-engine")


class Reader:
    """Goes through the page, section by section. For each a method says what must come of its commands."""

    def __init__(self, shell: Shell, world: World) -> None:
        self.shell, self.world = shell, world

    def read(self, section: Section) -> None:
        """Run the commands of a section in order and check what they printed."""
        if section.title not in NOT_YET:
            EXPECTED[section.title](self, *self._run(section))
            return
        with pytest.raises((AssertionError, KeyError)):
            EXPECTED[section.title](self, *self._run(section))

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
        has(made, **PUBLICATION, externalPath="/models/my-model", authentication={"requireApiKey": True, "allowedTenants": ["tenant-a"]})
        has(made["rateLimiting"], requestsPerMinute=100, requestsPerHour=5000, tokensPerHour=100000, burstLimit=10)

    def listed(self, answer: str, one: str) -> None:
        assert [item["modelName"] for item in json.loads(answer)["items"] if item["tenantId"] == "tenant-a"] == ["my-model"]
        has(json.loads(one), **PUBLICATION)

    def changed(self, answer: str) -> None:
        has(json.loads(answer)["rateLimiting"], **CHANGED_LIMITS)

    def rotated(self, answer: str) -> None:
        before, after = self.shell.environment["API_KEY"], json.loads(answer)["apiKey"]
        assert after != before
        until(lambda: "my-model" in self.world.model_names(after))
        assert "my-model" in self.world.model_names(before), "the key before works on"
        self.shell.environment["API_KEY"] = after

    def not_shown_again(self, answer: str) -> None:
        assert answer == "null\n"

    def predicted(self, answer: str) -> None:
        assert "predictions" in answer

    def chatted(self, answer: str) -> None:
        has(json.loads(answer), object="chat.completion", model="my-model")
        # What the next section shows is in the ledger soon.
        until(lambda: self.world.admin.call("GET", "/api/models/my-model/publish")["usage"]["totalRequests"] >= 1)

    def used(self, answer: str) -> None:
        usage = json.loads(answer)
        assert set(usage) == {"totalRequests", "requestsToday", "tokensUsed", "lastAccessTime"}
        assert usage["totalRequests"] >= usage["requestsToday"] >= 1
        assert usage["tokensUsed"] > 0
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
        has(json.loads(answer), modelName="tenant-b-model", tenantId="tenant-b", externalPath="/models/tenant-b-model")

    def an_openai_model(self, answer: str) -> None:
        has(json.loads(answer), modelName="my-llm", modelType="openai", externalPath="/v1/models/my-llm")

    def older_publication(self, answer: str) -> None:
        has(json.loads(answer), **PUBLICATION)

    def taken_over(self, plan: str, applied: str) -> None:
        assert re.search(r"tenant-a +my-old-model +publish ", plan)
        assert re.search(r"tenant-a +my-old-model +published ", applied)
        kept = json.loads((self.shell.home / "new-keys.jsonl").read_text())
        has(kept, tenantId="tenant-a", modelName="my-old-model")
        until(lambda: self.world.model_names(kept["apiKey"]) == {"my-old-model"})
        assert not self.world.model_names(OLD_KEY)

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


def test_every_command_of_the_guide(shell: Shell, world: World) -> None:
    assert list(SECTIONS) == list(EXPECTED)
    assert NOT_YET.keys() <= EXPECTED.keys()
    reader = Reader(shell, world)
    for section in SECTIONS.values():
        reader.read(section)


def has(found: Any, **expected: Any) -> None:
    assert {name: found[name] for name in expected} == expected
