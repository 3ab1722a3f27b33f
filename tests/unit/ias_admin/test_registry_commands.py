"""What the commands of catalog and approvals ask of the API."""

from typing import Any

import pytest

from tests.unit.ias_admin.conftest import Cli

EMPTY = (200, {"items": [], "nextCursor": None})
FOUND = (200, {"items": [{"id": "i1", "model": "gpu::a/b"}, {"id": "i2", "model": "gpu::a/bc"}], "nextCursor": None})
MOVED = (200, {"dryRun": False, "count": 1, "models": [{"model": "gpu::m", "before": "pending", "after": "approved"}]})
VIEW = (200, {"id": "x"})
CALLS: list[tuple[str, tuple[int, Any], str, Any]] = [
    ("catalog list --backend gpu --status active --name l", EMPTY, "GET /api/catalog?backend=gpu&status=active&name=l", None),
    ("catalog usable acme --capability tools --provider gpu", EMPTY, "GET /api/org/acme/model?capability=tools&provider=gpu", None),
    ("catalog resolve acme gpu::a/b", VIEW, "GET /api/org/acme/model/gpu%3A%3Aa%2Fb", None),
    ("backend show gpu", VIEW, "GET /api/backend/gpu", None),
    ("approval request show q1", VIEW, "GET /api/access_request/q1", None),
    ("catalog discover gpu", (200, {"health": "healthy", "new": 1}), "POST /api/backend/gpu/discover", None),
    ("approval list acme --state pending", EMPTY, "GET /api/org/acme/approval?state=pending", None),
    ("approval approve acme gpu::m other", MOVED, "POST /api/org/acme/approval/approve", {"models": ["gpu::m", "other"], "dryRun": False}),
    (
        "approval revoke acme --backend gpu --pattern l* --reason old --show",
        MOVED,
        "POST /api/org/acme/approval/revoke",
        {"backend": "gpu", "pattern": "l*", "reason": "old", "dryRun": True},
    ),
    ("approval reject acme gpu::m", MOVED, "POST /api/org/acme/approval/reject", {"models": ["gpu::m"], "dryRun": False}),
    ("approval reinstate acme gpu::m", MOVED, "POST /api/org/acme/approval/reinstate", {"models": ["gpu::m"], "dryRun": False}),
    ("approval rule list acme", EMPTY, "GET /api/org/acme/approval_rule", None),
    ("approval rule add acme --pattern l*", VIEW, "POST /api/org/acme/approval_rule", {"backend": None, "pattern": "l*"}),
    ("approval rule end r1", VIEW, "POST /api/approval_rule/r1/end", None),
    ("approval request create gpu::m --reason work", VIEW, "POST /api/access_request", {"model": "gpu::m", "reason": "work"}),
    ("approval request list --org acme --state open", EMPTY, "GET /api/org/acme/access_request?state=open", None),
    ("approval request list", EMPTY, "GET /api/access_request", None),
    ("approval request approve q1", VIEW, "POST /api/access_request/q1/approve", {"answer": None}),
    ("approval request reject q1 --reason no", VIEW, "POST /api/access_request/q1/reject", {"reason": "no"}),
    ("approval request withdraw q1", VIEW, "POST /api/access_request/q1/withdraw", None),
]


@pytest.mark.parametrize(("command", "answer", "asked", "body"), CALLS, ids=[command for command, *_ in CALLS])
def test_a_command_is_one_call(cli: Cli, command: str, answer: tuple[int, Any], asked: str, body: Any) -> None:
    cli.answers.append(answer)
    ran = cli(*command.split(" "))
    assert (ran.code, cli.asked) == (0, [asked]), ran.err
    assert (cli.body if cli.requests[-1].content else None) == body


@pytest.mark.parametrize(
    ("command", "answer", "asked", "body"),
    [
        ("show gpu::a/b", None, None, None),
        ("history gpu::a/b", EMPTY, "GET /api/catalog/i1/change", None),
        ("price gpu::a/b", EMPTY, "GET /api/catalog/i1/price", None),
        (
            "price gpu::a/b --currency EUR --input 0.5 --output-price 1.5 --from 2027-01-01",
            EMPTY,
            "POST /api/catalog/i1/price",
            {"currency": "EUR", "input": "0.5", "cachedInput": None, "output": "1.5", "validFrom": "2027-01-01T00:00:00+00:00"},
        ),
        (
            "edit gpu::a/b --capability chat --alias best --as-told contextTokens",
            VIEW,
            "PUT /api/catalog/i1",
            {"capabilities": ["chat"], "aliases": ["best"], "contextTokens": None},
        ),
    ],
)
def test_a_model_is_found_by_its_id_in_the_catalog(cli: Cli, command: str, answer: Any, asked: str | None, body: Any) -> None:
    cli.answers += [FOUND, *([answer] if answer else [])]
    ran = cli("catalog", *command.split(" "))
    assert ran.code == 0, ran.err
    assert cli.asked == ["GET /api/catalog?backend=gpu&name=a%2Fb", *([asked] if asked else [])]
    if asked:
        assert (cli.body if cli.requests[-1].content else None) == body


def test_a_model_that_is_not_there_and_a_backend_that_is_ill_are_failures(cli: Cli) -> None:
    cli.answers += [EMPTY, (200, {"health": "unhealthy", "healthReason": "no answer"})]
    assert cli("catalog", "show", "gpu::x").code == 4
    assert cli("catalog", "discover", "gpu").code == 6
