"""The full regression of seed 004 §7.2, with `ias-admin` as the client of the management API and OpenAI's own for inference."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.e2e.world import CHAT, World, simulate, until
from tests.support.stack import Stack


class Cli:
    """`ias-admin` as one person runs it: its own configuration, its own sign-in."""

    def __init__(self, home: Path, url: str, username: str, password: str) -> None:
        self._environment = {**os.environ, "XDG_CONFIG_HOME": str(home), "IAS_ADMIN_URL": url, "NO_COLOR": "1"}
        self.run("login", "--username", username, IAS_ADMIN_PASSWORD=password)

    def try_(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "ias_admin", "--no-input", *arguments]
        return subprocess.run(command, env=self._environment | environment, capture_output=True, text=True, timeout=60, check=False)

    def run(self, *arguments: str, **environment: str) -> str:
        ran = self.try_(*arguments, **environment)
        assert ran.returncode == 0, f"ias-admin {' '.join(arguments)}: {ran.returncode} {ran.stderr}"
        return ran.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "-o", "json"))


class Office:
    """An org that was made by the CLI alone: its admin, two developers, a model."""

    def __init__(self, world: World, home: Path) -> None:
        self.world, self.home = world, home
        self.slug = f"reg-{secrets.token_hex(3)}"
        self.model = f"{self.slug}-model"
        self.root = Cli(home / "root", world.api, world.ready.get("admin_username", "admin"), world.admin_password)
        self.root.run("org", "create", "Data Science", "--slug", self.slug)
        self.root.run("model", "publish", self.model, "--org", self.slug, "--upstream-model", "sim-chat")
        self.admin = self.join("admin", "org_admin")
        self.ada, self.bob = self.join("ada", "org_user"), self.join("bob", "org_user")

    def join(self, name: str, role: str) -> Cli:
        made = self.root.json("user", "add", self.slug, f"{self.slug}-{name}", "--role", role)
        return Cli(self.home / name, self.world.api, f"{self.slug}-{name}", made["initialPassword"])

    def close(self) -> None:
        self.root.run("model", "unpublish", self.model, "--yes")
        self.root.run("org", "delete", self.slug, "--yes")

    def ask(self, api_key: str, **arguments: Any) -> Any:
        return self.world.client(api_key).chat.completions.with_raw_response.create(model=self.model, messages=CHAT, **arguments)

    def is_known(self, api_key: str) -> bool:
        return self.model in self.world.model_names(api_key)


@pytest.fixture(scope="module")
def office(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    office = Office(module_world, tmp_path_factory.mktemp("people"))
    yield office
    office.close()


def test_happy_path_from_the_command_line(office: Office) -> None:
    key = office.ada.json("key", "create", "production-app")
    until(lambda: office.is_known(key["apiKey"]), 3)
    answer = office.ask(key["apiKey"])
    asked = time.monotonic()
    (row,) = until(lambda: _requests(office.ada, answer.headers["x-request-id"]), 10, every_s=0.2)
    usage = answer.parse().usage
    print(f"\nusage visible {time.monotonic() - asked:.2f} s after the answer")
    assert (row["inputTokens"], row["outputTokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    assert office.admin.json("usage", "org", office.slug)["totals"]["requests"] >= 1


def test_auth_failure_an_invalid_and_a_revoked_key_are_401(office: Office) -> None:
    with pytest.raises(openai.AuthenticationError):
        office.ask("ias_live_" + "0" * 57)
    key = office.ada.json("key", "create", "to be revoked")
    until(lambda: office.is_known(key["apiKey"]), 3)
    office.ada.run("key", "revoke", key["id"], "--yes")
    until(lambda: not office.is_known(key["apiKey"]), 3)
    with pytest.raises(openai.AuthenticationError) as refused:
        office.ask(key["apiKey"])
    assert refused.value.status_code == 401


def test_budget_failure_is_429(office: Office) -> None:
    key = office.ada.json("key", "create", "spender")
    until(lambda: office.is_known(key["apiKey"]), 3)
    office.admin.run("budget", "set", "month", "1000", "--org", office.slug)

    def spent() -> openai.RateLimitError | None:
        try:
            office.ask(key["apiKey"], max_tokens=200, extra_headers=simulate(tokens=200, pace_ms=0))
        except openai.RateLimitError as error:
            # What the request before still holds may come back: until it is settled the budget is busy, not spent.
            return None if error.code == "rate_limit_exceeded" else error
        return None

    refused = until(spent, 20)
    assert refused is not None
    assert (refused.status_code, refused.code) == (429, "insufficient_quota")
    office.admin.run("budget", "lift", "month", "--org", office.slug, "--yes")


def test_a_refused_request_is_explained_by_its_id(office: Office, stack: Stack | None) -> None:
    key = office.ada.json("key", "create", "hasty", "--requests-per-minute", "1")
    until(lambda: office.is_known(key["apiKey"]), 3)

    def refused() -> openai.RateLimitError | None:
        try:
            office.ask(key["apiKey"], max_tokens=1)
        except openai.RateLimitError as error:
            return error
        return None

    request_id = until(refused, 5).response.headers["x-request-id"]
    if stack is not None:  # refusals are handed over by the minute, and all when extauth stops
        stack.wait_restarted("extauth", stack.kill("extauth", signal.SIGTERM), 30)
    (item,) = until(lambda: _requests(office.ada, request_id), 80, every_s=0.5)
    assert (item["decision"], item["status"], item["code"]) == ("refused", 429, "rate_limit_exceeded")
    assert (item["keyName"], item["model"]) == ("hasty", office.model)
    page = office.ada.run("explain", request_id)
    assert page.startswith(f"Request {request_id}: refused")
    assert "requestsPerMinute of the API key" in page
    assert "429" in page
    assert office.bob.try_("explain", request_id).returncode == 4, "a colleague's request is not there"
    until(lambda: _answers(office, key["apiKey"]), 30)
    office.ada.run("key", "revoke", key["id"], "--yes")


def test_rbac_failure_a_user_cannot_revoke_a_colleagues_key(office: Office) -> None:
    key = office.ada.json("key", "create", "ada's")
    refused = office.bob.try_("key", "revoke", key["id"], "--yes")
    assert (refused.returncode, "key_not_found" in refused.stderr) == (4, True)
    forbidden = office.bob.try_("org", "create", "mine")
    assert (forbidden.returncode, "forbidden" in forbidden.stderr) == (3, True)
    assert office.root.try_("key", "create", "admins have none").returncode == 3
    office.admin.run("key", "revoke", key["id"], "--yes")


def test_the_audit_log_has_it_all(office: Office) -> None:
    key = office.ada.json("key", "create", "audited")
    office.ada.run("key", "revoke", key["id"], "--yes")
    office.admin.run("budget", "set", "week", "1M", "--org", office.slug)
    office.bob.try_("org", "create", "mine")
    seen = {(entry["actionType"], entry["outcome"]) for entry in office.admin.json("audit", "list", office.slug)}
    assert {("key.create", "ok"), ("key.revoke", "ok"), ("org_budget.set", "ok"), ("org.create", "denied")} <= seen
    assert key["apiKey"] not in office.admin.run("audit", "list", office.slug, "-o", "json")
    assert office.bob.try_("audit", "list", office.slug).returncode == 3


def _answers(office: Office, api_key: str) -> bool:
    """Whether extauth works again after a restart."""
    try:
        return office.is_known(api_key)
    except openai.InternalServerError:
        return False


def _requests(cli: Cli, request_id: str) -> Any:
    ran = cli.try_("explain", request_id, "-o", "json")
    return json.loads(ran.stdout) if ran.returncode == 0 else []
