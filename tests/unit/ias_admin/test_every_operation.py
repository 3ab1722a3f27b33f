"""The CLI can do what the API can: every operation is asked for by some command, or it is said here why by none."""

import re
from pathlib import Path
from typing import Any

import pytest

from controlplane.api import OPERATIONS
from tests.unit.ias_admin.conftest import Cli

USER_ID = "018f0000-0000-7000-8000-000000000001"
EMPTY = (200, {"items": [], "nextCursor": None})
DONE = (204, None)
VIEW = (200, {"id": "x"})
SENT = (201, {"id": "x", "delivery": "mailed"})

CALLS: list[tuple[str, tuple[int, Any], str, Any]] = [
    ("org rename acme New", VIEW, "PUT /api/org/acme", {"name": "New"}),
    ("org suspend acme --yes", VIEW, "POST /api/org/acme/suspend", None),
    ("org resume acme", VIEW, "POST /api/org/acme/resume", None),
    ("org restore acme", VIEW, "POST /api/org/acme/restore", None),
    (f"user show acme {USER_ID}", VIEW, f"GET /api/org/acme/user/{USER_ID}", None),
    (f"user role acme {USER_ID} org_admin", VIEW, f"PUT /api/org/acme/user/{USER_ID}/role", {"role": "org_admin"}),
    ("service-account create acme ci", VIEW, "POST /api/org/acme/service-account", {"name": "ci"}),
    ("service-account list acme", EMPTY, "GET /api/org/acme/service-account", None),
    ("system-admin add grace", VIEW, "POST /api/system-admin", {"username": "grace"}),
    ("system-admin list", EMPTY, "GET /api/system-admin", None),
    ("system-admin remove a1 --yes", DONE, "DELETE /api/system-admin/a1", None),
    ("invite create acme a@b.example", SENT, "POST /api/org/acme/invite", {"email": "a@b.example", "role": "org_user"}),
    ("invite list acme", EMPTY, "GET /api/org/acme/invite", None),
    ("invite resend acme i1", SENT, "POST /api/org/acme/invite/i1/resend", None),
    ("invite revoke acme i1 --yes", DONE, "DELETE /api/org/acme/invite/i1", None),
    ("limits lift --org acme --yes", DONE, "DELETE /api/org/acme/limits", None),
    (f"limits lift --user {USER_ID} --yes", DONE, f"DELETE /api/user/{USER_ID}/limits", None),
    ("limits show --key k1", VIEW, "GET /api/key/k1/limits", None),
    ("budget end-increase day --org acme", DONE, "DELETE /api/org/acme/budget/day/increase", None),
    (f"budget end-increase day --user {USER_ID}", DONE, f"DELETE /api/user/{USER_ID}/budget/day/increase", None),
    (f"budget lift week --user {USER_ID} --yes", DONE, f"DELETE /api/user/{USER_ID}/budget/week", None),
    ("budget lift week --key k1 --yes", DONE, "DELETE /api/key/k1/budget/week", None),
    ("audit export", (200, ""), "GET /api/audit_log.csv", None),
    ("event export", (200, ""), "GET /api/security_events.csv", None),
    ("event summary --org acme", EMPTY, "GET /api/org/acme/security_events/summary?by=kind", None),
    ("usage series --system", (200, {"points": []}), "GET /api/analytics/system/series?interval=day", None),
    ("usage report", (200, ""), "GET /api/analytics/own/report.csv", None),
    ("usage report --system", (200, ""), "GET /api/analytics/system/report.csv", None),
    ("usage top", EMPTY, "GET /api/analytics/own/top?by=model&order=tokens&limit=10", None),
    ("usage top --org acme", EMPTY, "GET /api/analytics/org/acme/top?by=model&order=tokens&limit=10", None),
]
WITHOUT_A_COMMAND = {
    "session.create": "the CLI signs in at /admin/login, which is the same",
    "session.get": "for a page that was loaded anew",
    "*_budget.get": "`budget show` lists them",
    "catalog.get": "a model is found by its name, in the list",
    "problem.list": "the codes are explained where they come up, and in the documentation",
    "problem.get": "the same",
}
WITH_SECRETS_OR_STEPS = {
    "password.change", "password.request_reset", "password.reset", "invite.accept", "key.validate", "key.bulk_revoke",
    "user_limits.set", "key_limits.set", "org_budget.set", "user_budget.set", "user_budget.increase", "key_budget.increase",
}  # fmt: skip
"""Their commands have tests of their own, which say more than one call: reading before a change, secrets from files, dry runs."""


@pytest.mark.parametrize(("command", "answer", "asked", "body"), CALLS, ids=[command for command, *_ in CALLS])
def test_a_command_is_one_call(cli: Cli, command: str, answer: tuple[int, Any], asked: str, body: Any) -> None:
    cli.answers.append(answer)
    ran = cli(*command.split(" "))
    assert (ran.code, cli.asked) == (0, [asked]), ran.err
    assert (cli.body if cli.requests[-1].content else None) == body


def test_every_operation_has_a_command() -> None:
    """A new route fails here until a command asks for it in one of these tests."""
    source = "".join(path.read_text().replace("{USER_ID}", USER_ID) for path in sorted(Path(__file__).parent.glob("test_*.py")))
    asked = [(method, path.partition("?")[0].replace("%2F", "/")) for method, path in re.findall(r'"(GET|POST|PUT|DELETE) /api(/[^"]*)"', source)]
    excused = {name.removeprefix("*") for name in WITHOUT_A_COMMAND}
    missing = [
        str(operation)
        for operation in OPERATIONS
        if operation.route.include_in_schema
        and operation.name not in WITH_SECRETS_OR_STEPS
        and not operation.name.endswith(tuple(excused))
        and not any(method == operation.method and operation.route.path_regex.match(path) for method, path in asked)
    ]
    assert missing == []
