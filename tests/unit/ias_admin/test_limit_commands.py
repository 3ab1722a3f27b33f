"""Commands that change a part: they read first, and write only what they have read."""

from typing import Any

import httpx2
import pytest

from tests.unit.ias_admin.conftest import Cli, Problem

LIMITS = {"requestsPerMinute": 5, "burstLimit": 2, "tokensPerHour": 7, "dryRun": ["tokensPerHour"]}


def tagged(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer carries an ETag."""
    answer = cli._answer

    def with_tag(request: httpx2.Request) -> httpx2.Response:
        response = answer(request)
        response.headers["etag"] = '"7"'
        return response

    monkeypatch.setattr(cli, "_answer", with_tag)


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ("--requests-per-minute 9", {**LIMITS, "requestsPerMinute": 9}),
        ("--lift burstLimit --lift requestsPerMinute", {**LIMITS, "requestsPerMinute": None, "burstLimit": None}),
        ("--count-only requestsPerMinute --enforce tokensPerHour", {**LIMITS, "dryRun": ["requestsPerMinute"]}),
        ("--admission-mode strict --outage-tokens 0", {**LIMITS, "admissionMode": "strict", "outageTokens": 0}),
    ],
)
def test_limits_that_are_not_named_stay_and_nobody_is_overwritten(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, options: str, body: dict[str, Any]
) -> None:
    tagged(cli, monkeypatch)
    cli.answers += [(200, LIMITS), (200, body)]
    ran = cli("limits", "set", "--org", "acme", *options.split())
    assert (ran.code, cli.asked) == (0, ["GET /api/org/acme/limits", "PUT /api/org/acme/limits"]), ran.err
    assert (cli.body, cli.requests[-1].headers["if-match"]) == (body, '"7"')


def test_a_budget_keeps_its_thresholds_when_its_amount_changes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    tagged(cli, monkeypatch)
    cli.answers += [(200, {"tokens": 5, "thresholds": [90], "dryRun": True, "spent": 3}), (200, {"tokens": 10})]
    assert cli("budget", "set", "month", "10k", "--key", "k1", "--enforce").code == 0
    assert cli.asked == ["GET /api/key/k1/budget/month", "PUT /api/key/k1/budget/month"]
    assert (cli.body, cli.requests[-1].headers["if-match"]) == ({"tokens": 10_000, "thresholds": [90], "dryRun": False}, '"7"')


def test_a_budget_that_is_not_there_yet_is_made(cli: Cli, problem: Problem) -> None:
    cli.answers += [problem(404, "budget_not_found", "There is none."), (200, {"tokens": 5})]
    assert cli("budget", "set", "day", "5", "--org", "acme", "--threshold", "75").code == 0
    assert cli.body == {"tokens": 5, "thresholds": [75]}
    assert "if-match" not in cli.requests[-1].headers


def test_who_was_slower_is_told(cli: Cli, problem: Problem) -> None:
    cli.answers += [(200, LIMITS), problem(412, "version_conflict", "It changed meanwhile.")]
    ran = cli("limits", "set", "--key", "k1", "--requests-per-minute", "1")
    assert (ran.code, ran.err.splitlines()[0]) == (5, "ias-admin: It changed meanwhile. (version_conflict)")


def test_limits_of_nobody_are_not_found(cli: Cli, problem: Problem) -> None:
    cli.answers.append(problem(404, "org_not_found", "There is no such org."))
    assert cli("limits", "set", "--org", "acme", "--requests-per-minute", "1").code == 4
    assert len(cli.asked) == 1


def test_a_user_of_an_org_is_found_by_name(cli: Cli) -> None:
    cli.answers += [(200, {"items": [{"username": "bob", "id": "2"}], "nextCursor": None}), (200, {"items": []})]
    assert cli("budget", "show", "--org", "acme", "--user", "bob").code == 0
    assert cli.asked == ["GET /api/org/acme/user", "GET /api/user/2/budget"]


@pytest.mark.parametrize(
    "command",
    [
        "limits show",
        "limits show --org a --key b",
        "limits set --org a",
        "limits set --org a --lift everything",
        "budget set month 1.5 --org a",
        "budget set month 5X --org a",
        "budget set month -5 --org a",
        "budget set year 5 --org a",
        "budget set month 5",
        "budget increase month 5 --org a",
    ],
)
def test_wrong_use_asks_nothing(cli: Cli, command: str) -> None:
    assert cli(*command.split()).code == 2
    assert cli.requests == []
