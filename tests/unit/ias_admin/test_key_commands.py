"""Keys and requests for more: what each command asks of the API; a key is alone on stdout and never an argument."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ias_admin.conftest import Cli

EMPTY = (200, {"items": [], "nextCursor": None})
KEY = (200, {"id": "k1", "name": "ci", "hint": "ias_live_AAAAAAAA…", "apiKey": "ias_live_s3cret"})
VIEW = (200, {"id": "x"})
DONE = (204, None)
EXPIRES = "2027-01-01T00:00:00+00:00"
REVOKED = {"hint": "h…", "username": "bob", "name": "ci"}

CALLS: list[tuple[str, tuple[int, Any], str, Any]] = [
    ("key create ci", KEY, "POST /api/key", {"name": "ci"}),
    (
        "key create ci --expires 2027-01-01 --model a --model b* --label team=search --label note=a=b --requests-per-minute 60 --burst 5",
        KEY,
        "POST /api/key",
        {
            "name": "ci",
            "expiresAt": EXPIRES,
            "allowedModels": ["a", "b*"],
            "labels": {"team": "search", "note": "a=b"},
            "rateLimiting": {"requestsPerMinute": 60, "burstLimit": 5},
        },
    ),
    ("key create pipeline --service-account u1", KEY, "POST /api/key", {"name": "pipeline", "userId": "u1"}),
    ("key list", EMPTY, "GET /api/key", None),
    ("key list --org acme", EMPTY, "GET /api/org/acme/key", None),
    (
        "key list --org acme --name ci --label a --label b=c --status expired --user bob --model m --limit 5",
        EMPTY,
        "GET /api/org/acme/key?name=ci&user=bob&label=a&label=b%3Dc&status=expired&model=m&limit=5",
        None,
    ),
    ("key list --unused-since 2026-01-01", EMPTY, "GET /api/key?lastUsedBefore=2026-01-01T00%3A00%3A00%2B00%3A00", None),
    ("key show k1", VIEW, "GET /api/key/k1", None),
    ("key disable k1", VIEW, "POST /api/key/k1/disable", None),
    ("key enable k1", VIEW, "POST /api/key/k1/enable", None),
    ("key rotate k1", KEY, "POST /api/key/k1/rotate", {"overlapSeconds": 86_400}),
    ("key rotate k1 --overlap-hours 0", KEY, "POST /api/key/k1/rotate", {"overlapSeconds": 0}),
    ("key rotate k1 --overlap-hours 1.5", KEY, "POST /api/key/k1/rotate", {"overlapSeconds": 5_400}),
    ("model rotate-key m --overlap-hours 0", KEY, "POST /api/models/m/publish/rotate-key", {"overlapSeconds": 0}),
    ("key revoke k1 --yes", DONE, "DELETE /api/key/k1", None),
    (
        "quota ask-budget month 1.5M --org --reason launch",
        VIEW,
        "POST /api/quota_request",
        {"scope": "org", "kind": "budget", "period": "month", "amount": 1_500_000, "reason": "launch"},
    ),
    (
        "quota ask-budget day 5k --until 2027-01-01 --reason launch",
        VIEW,
        "POST /api/quota_request",
        {"scope": "user", "kind": "increase", "until": EXPIRES, "period": "day", "amount": 5_000, "reason": "launch"},
    ),
    (
        "quota ask-limit tokensPerHour 9 --key k1 --reason launch",
        VIEW,
        "POST /api/quota_request",
        {"scope": "key", "keyId": "k1", "kind": "limit", "limit": "tokensPerHour", "amount": 9, "reason": "launch"},
    ),
    ("quota list", EMPTY, "GET /api/quota_request", None),
    ("quota list --org acme --state open", EMPTY, "GET /api/org/acme/quota_request?state=open", None),
    ("quota show r1", VIEW, "GET /api/quota_request/r1", None),
    ("quota approve r1", VIEW, "POST /api/quota_request/r1/approve", {}),
    (
        "quota approve r1 --amount 2k --until 2027-01-01 --answer ok",
        VIEW,
        "POST /api/quota_request/r1/approve",
        {"amount": 2_000, "until": EXPIRES, "answer": "ok"},
    ),
    ("quota reject r1 --reason enough", VIEW, "POST /api/quota_request/r1/reject", {"reason": "enough"}),
    ("quota withdraw r1", VIEW, "POST /api/quota_request/r1/withdraw", None),
]


@pytest.mark.parametrize(("command", "answer", "asked", "body"), CALLS, ids=[command for command, *_ in CALLS])
def test_a_command_is_one_call(cli: Cli, command: str, answer: tuple[int, Any], asked: str, body: Any) -> None:
    cli.answers.append(answer)
    ran = cli(*command.split(" "))
    assert (ran.code, cli.asked) == (0, [asked]), ran.err
    assert (cli.body if cli.requests[-1].content else None) == body


@pytest.mark.parametrize("command", ["key create ci", "key rotate k1", "model rotate-key m"])
def test_a_new_key_is_alone_on_stdout(cli: Cli, command: str) -> None:
    cli.answers.append(KEY)
    ran = cli(*command.split())
    assert ran.out == "ias_live_s3cret\n"
    assert "ias_live_AAAAAAAA…" in ran.err
    assert "s3cret" not in ran.err


HELD = {"name": "ci", "expiresAt": EXPIRES, "allowedModels": ["a"], "labels": {"team": "search", "env": "dev"}, "status": "active"}
WRITTEN = {name: HELD[name] for name in ("name", "expiresAt", "allowedModels", "labels")}


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ("--name nightly", {"name": "nightly"}),
        ("--label env=prod --remove-label team", {"labels": {"env": "prod"}}),
        ("--model b --model c*", {"allowedModels": ["b", "c*"]}),
        ("--all-models --never-expires", {"allowedModels": [], "expiresAt": None}),
        ("--expires 2028-02-03", {"expiresAt": "2028-02-03T00:00:00+00:00"}),
    ],
)
def test_what_is_not_named_of_a_key_stays(cli: Cli, options: str, changes: dict[str, Any]) -> None:
    cli.answers += [(200, HELD), VIEW]
    assert cli("key", "update", "k1", *options.split()).code == 0
    assert cli.asked == ["GET /api/key/k1", "PUT /api/key/k1"]
    assert cli.body == WRITTEN | changes


def shown(count: int, remaining: int, confirm: str) -> tuple[int, Any]:
    return 200, {"keys": [REVOKED] * count, "count": count, "remaining": remaining, "confirm": confirm}


def test_many_keys_are_shown_and_then_exactly_these_are_revoked(cli: Cli) -> None:
    cli.answers += [shown(2, 1, "c1"), shown(2, 1, "c1"), shown(1, 0, "c2"), shown(1, 0, "c2")]
    ran = cli("key", "bulk-revoke", "acme", "--user", "bob", "--yes", "-o", "json")
    assert ran.code == 0, ran.err
    assert len(json.loads(ran.out)) == 3
    bodies = [json.loads(request.content) for request in cli.requests]
    assert [body.get("confirm") for body in bodies] == [None, "c1", None, "c2"]
    assert [body["filter"] for body in bodies] == [{"user": "bob"}] * 4
    assert [body.get("dryRun", True) for body in bodies] == [True, False, True, False]


def test_a_dry_run_shows_them_and_ends(cli: Cli) -> None:
    cli.answers.append(shown(2, 5, "c1"))
    ran = cli("key", "bulk-revoke", "acme", "--label", "team", "--dry-run", "-o", "csv")
    assert (ran.code, len(ran.out.splitlines()), len(cli.requests)) == (0, 3, 1)
    assert "7 keys would be revoked" in ran.err


def test_nobody_is_asked_no_key_is_revoked(cli: Cli) -> None:
    cli.answers.append(shown(1, 0, "c1"))
    assert cli("key", "bulk-revoke", "acme", "--user", "bob", "--no-input").code == 2
    assert len(cli.requests) == 1


def test_a_key_to_check_comes_from_a_file_or_the_environment(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text("ias_live_of_a_file\n")
    cli.answers.append((200, {"valid": True, "key": {"name": "ci"}}))
    assert cli("key", "validate", "--file", str(file)).code == 0
    assert cli.body == {"apiKey": "ias_live_of_a_file"}
    monkeypatch.setenv("IAS_API_KEY", "ias_live_of_the_environment")
    cli.answers.append((200, {"valid": False, "key": None}))
    ran = cli("key", "validate")
    assert (ran.code, cli.body) == (1, {"apiKey": "ias_live_of_the_environment"})
    assert "ias_live" not in ran.out + ran.err


@pytest.mark.parametrize(
    "command",
    [
        "key update k1",
        "key create ci --label team",
        "key rotate k1 --overlap-hours -1",
        "key rotate k1 --overlap-hours 721",
        "key bulk-revoke acme",
        "key list --status gone",
        "quota ask-budget month 5k",
        "quota ask-limit nonsense 5 --reason x",
        "quota approve r1 --amount many",
        "quota reject r1",
    ],
)
def test_wrong_use_asks_nothing(cli: Cli, command: str) -> None:
    assert cli(*command.split()).code == 2
    assert cli.requests == []
