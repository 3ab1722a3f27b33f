"""What each command asks of the API, and how it ends."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ias_admin.conftest import Cli, Problem

USER_ID = "018f0000-0000-7000-8000-000000000001"
EMPTY = (200, {"items": [], "nextCursor": None})
DONE = (204, None)
VIEW = (200, {"id": "x"})
POINTS = (200, {"points": []})
TEXT = (200, "")
MADE = (201, {"id": "x"})


class Terminal(io.StringIO):
    """Somebody who could be asked."""

    def isatty(self) -> bool:
        return True


CALLS: list[tuple[str, tuple[int, Any], str, Any]] = [
    ("whoami", VIEW, "GET /api/me", None),
    ("session list", EMPTY, "GET /api/me/session", None),
    ("session end s1 --yes", DONE, "DELETE /api/me/session/s1", None),
    ("org create Acme", MADE, "POST /api/org", {"name": "Acme"}),
    ("org create Acme --slug acme", MADE, "POST /api/org", {"name": "Acme", "slug": "acme"}),
    ("org list", EMPTY, "GET /api/org", None),
    ("org list --limit 5", EMPTY, "GET /api/org?limit=5", None),
    ("org show acme", VIEW, "GET /api/org/acme", None),
    ("org delete acme --yes", DONE, "DELETE /api/org/acme", None),
    ("user add acme bob", MADE, "POST /api/org/acme/user", {"username": "bob", "role": "org_user"}),
    (
        "user add acme bob --role org_admin --email b@x",
        MADE,
        "POST /api/org/acme/user",
        {"username": "bob", "role": "org_admin", "email": "b@x"},
    ),
    ("user list acme", EMPTY, "GET /api/org/acme/user", None),
    (f"user disable acme {USER_ID} -y", VIEW, f"POST /api/org/acme/user/{USER_ID}/disable", None),
    (f"user enable acme {USER_ID}", VIEW, f"POST /api/org/acme/user/{USER_ID}/enable", None),
    (f"service-account disable acme {USER_ID} -y", VIEW, f"POST /api/org/acme/service-account/{USER_ID}/disable", None),
    (f"service-account enable acme {USER_ID}", VIEW, f"POST /api/org/acme/service-account/{USER_ID}/enable", None),
    (f"service-account delete acme {USER_ID} -y", DONE, f"DELETE /api/org/acme/service-account/{USER_ID}", None),
    (f"user remove acme {USER_ID} -y", DONE, f"DELETE /api/org/acme/user/{USER_ID}", None),
    ("limits show --org acme", VIEW, "GET /api/org/acme/limits", None),
    (f"limits show --user {USER_ID}", VIEW, f"GET /api/user/{USER_ID}/limits", None),
    ("limits lift --key k1 --yes", DONE, "DELETE /api/key/k1/limits", None),
    ("budget show --org acme", (200, {"items": []}), "GET /api/org/acme/budget", None),
    ("budget show --key k1", (200, {"items": []}), "GET /api/key/k1/budget", None),
    (
        "budget increase month 1.5M --org acme --until 2026-12-01",
        VIEW,
        "PUT /api/org/acme/budget/month/increase",
        {"tokens": 1_500_000, "until": "2026-12-01T00:00:00+00:00"},
    ),
    ("budget end-increase day --key k1", DONE, "DELETE /api/key/k1/budget/day/increase", None),
    ("budget lift week --org acme --yes", DONE, "DELETE /api/org/acme/budget/week", None),
    ("budget ceiling acme month 2G", VIEW, "PUT /api/org/acme/budget/month/ceiling", {"tokens": 2_000_000_000}),
    ("budget lift-ceiling acme month --yes", DONE, "DELETE /api/org/acme/budget/month/ceiling", None),
    ("budget alerts acme", EMPTY, "GET /api/org/acme/budget_alert?limit=50", None),
    ("model docs m", TEXT, "GET /api/models/m/publish/documentation?format=md", None),
    ("model docs m --format html", TEXT, "GET /api/models/m/publish/documentation?format=html", None),
    ("backend add vllm http://10.0.0.1:8000", MADE, "POST /api/backend", {"name": "vllm", "baseUrl": "http://10.0.0.1:8000"}),
    (
        "backend add iris http://10.0.0.1:8000 --probe-interval 5 --credential cloud",
        MADE,
        "POST /api/backend",
        {"name": "iris", "baseUrl": "http://10.0.0.1:8000", "probeIntervalS": 5.0, "credential": "cloud"},
    ),
    ("backend set vllm --probe-interval 0 --credential cloud", MADE, "PUT /api/backend/vllm", {"probeIntervalS": None, "credential": "cloud"}),
    ("backend list", EMPTY, "GET /api/backend", None),
    ("backend check vllm", (200, {"health": "healthy"}), "POST /api/backend/vllm/check", None),
    ("backend remove vllm --yes", DONE, "DELETE /api/backend/vllm", None),
    ("model publish m --org acme", MADE, "POST /api/models/m/publish", {"config": {"tenantId": "acme"}}),
    (
        (
            "model publish m --org acme --backend vllm --upstream-model real --type openai --hostname h --path /p --requests-per-minute 1"
            " --requests-per-hour 2 --tokens-per-hour 3 --burst 4 --allow acme --allow other"
        ),
        MADE,
        "POST /api/models/m/publish",
        {
            "config": {
                "tenantId": "acme",
                "modelType": "openai",
                "publicHostname": "h",
                "externalPath": "/p",
                "backend": "vllm",
                "upstreamModel": "real",
                "rateLimiting": {"requestsPerMinute": 1, "requestsPerHour": 2, "tokensPerHour": 3, "burstLimit": 4},
                "authentication": {"allowedTenants": ["acme", "other"]},
            }
        },
    ),
    (
        (
            "model publish m --org acme --tokens-per-minute 0 --concurrent-requests 2 --admission-mode strict --context-tokens 4096"
            " --output-cap 512 --no-continuous-usage"
        ),
        MADE,
        "POST /api/models/m/publish",
        {
            "config": {
                "tenantId": "acme",
                "contextTokens": 4096,
                "outputCap": 512,
                "continuousUsage": False,
                "rateLimiting": {"tokensPerMinute": 0, "concurrentRequests": 2, "admissionMode": "strict"},
            }
        },
    ),
    ("model show m", VIEW, "GET /api/models/m/publish", None),
    ("model update m --burst 9", VIEW, "PUT /api/models/m/publish", {"config": {"rateLimiting": {"burstLimit": 9}}}),
    (
        "model update m --target a:70 --target b:30:1 --target c --traffic maxRequests=8 --traffic silenceTimeoutSeconds=none",
        VIEW,
        "PUT /api/models/m/publish",
        {
            "config": {
                "backends": [{"name": "a", "weight": 70}, {"name": "b", "weight": 30, "priority": 1}, {"name": "c"}],
                "traffic": {"maxRequests": 8, "silenceTimeoutSeconds": None},
            }
        },
    ),
    (
        "model update m --type traditional --no-api-key",
        VIEW,
        "PUT /api/models/m/publish",
        {"config": {"modelType": "traditional", "authentication": {"requireApiKey": False}}},
    ),
    ("model allowance acme", VIEW, "GET /api/org/acme/publishing", None),
    ("model allow acme", VIEW, "PUT /api/org/acme/publishing", {"maxPublications": None, "hostnames": None}),
    (
        "model allow acme --max-publications 2 --hostname a.b",
        VIEW,
        "PUT /api/org/acme/publishing",
        {"maxPublications": 2, "hostnames": ["a.b"]},
    ),
    ("model list", EMPTY, "GET /api/published-models", None),
    ("model list --org acme", EMPTY, "GET /api/published-models?tenantId=acme", None),
    ("model unpublish m --yes", DONE, "DELETE /api/models/m/publish", None),
    ("usage org acme", VIEW, "GET /api/analytics/org/acme", None),
    (
        "usage org acme --from 2026-11-01 --to 2026-12-01T10:00:00",
        VIEW,
        "GET /api/analytics/org/acme?from=2026-11-01T00%3A00%3A00%2B00%3A00&to=2026-12-01T10%3A00%3A00%2B00%3A00",
        None,
    ),
    ("usage system", VIEW, "GET /api/analytics/system", None),
    ("usage own", VIEW, "GET /api/analytics/own", None),
    ("usage series --by model", POINTS, "GET /api/analytics/own/series?interval=day&by=model", None),
    ("usage series --org acme --interval hour --model m", POINTS, "GET /api/analytics/org/acme/series?interval=hour&model=m", None),
    ("usage top --system --by org --order errors", EMPTY, "GET /api/analytics/system/top?by=org&order=errors&limit=10", None),
    ("usage report --org acme --by user --by model", TEXT, "GET /api/analytics/org/acme/report.csv?by=user&by=model", None),
    ("explain r1", EMPTY, "GET /api/requests/r1", None),
    ("event list --org acme --key h", EMPTY, "GET /api/org/acme/security_events?credential=h&limit=50", None),
    ("event list --limit 5", EMPTY, "GET /api/security_events?limit=5", None),
    ("event summary --by key", EMPTY, "GET /api/security_events/summary?by=key", None),
    ("event export --org acme", TEXT, "GET /api/org/acme/security_events.csv", None),
    ("audit actions", EMPTY, "GET /api/audit_actions", None),
    ("audit list", EMPTY, "GET /api/audit_log?limit=50", None),
    ("audit list acme --actor ada --action key.*", EMPTY, "GET /api/org/acme/audit_log?actor=ada&action=key.%2A&limit=50", None),
    ("audit export acme --outcome denied", TEXT, "GET /api/org/acme/audit_log.csv?outcome=denied", None),
    ("audit list acme", EMPTY, "GET /api/org/acme/audit_log?limit=50", None),
    # What a person types is one segment, whatever it holds.
    ("org show ../key", VIEW, "GET /api/org/..%2Fkey", None),
    ("model show a/b?c=%20d#e", VIEW, "GET /api/models/a%2Fb%3Fc%3D%2520d%23e/publish", None),
]


@pytest.mark.parametrize(("command", "answer", "asked", "body"), CALLS, ids=[command for command, *_ in CALLS])
def test_a_command_is_one_call(cli: Cli, command: str, answer: tuple[int, Any], asked: str, body: Any) -> None:
    cli.answers.append(answer)
    ran = cli(*command.split(" "))
    assert (ran.code, cli.asked) == (0, [asked]), ran.err
    assert (cli.body if cli.requests[-1].content else None) == body


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_be_another_path_is_refused(cli: Cli, name: str) -> None:
    assert cli("org", "show", name).code == 2
    assert cli.requests == []


DESTRUCTIVE = [
    "org delete acme",
    f"user remove acme {USER_ID}",
    f"user disable acme {USER_ID}",
    f"service-account disable acme {USER_ID}",
    f"service-account delete acme {USER_ID}",
    "org suspend acme",
    "system-admin remove a1",
    "invite revoke acme i1",
    "key revoke k1",
    "session end s1",
    "limits lift --org acme",
    "budget lift day --org acme",
    "budget lift-ceiling acme day",
    "backend remove b",
    "model unpublish m",
]


@pytest.mark.parametrize("command", DESTRUCTIVE)
def test_what_destroys_asks_first(cli: Cli, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("typer.confirm", lambda *_, **__: (_ for _ in ()).throw(SystemExit(1)))
    assert cli(*command.split()).code == 1
    assert cli.requests == []


@pytest.mark.parametrize("command", DESTRUCTIVE)
def test_without_anybody_to_ask_what_destroys_needs_yes(cli: Cli, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    for ran in (cli(*command.split(), "--no-input"), cli("--no-input", *command.split())):
        assert (ran.code, ran.out) == (2, "")
        assert "give --yes" in ran.err
    assert cli.requests == []


@pytest.mark.parametrize("command", DESTRUCTIVE)
def test_a_dry_run_of_what_destroys_shows_the_request_and_sends_none(cli: Cli, command: str) -> None:
    ran = cli(*command.split(), "--dry-run")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["method"] in {"DELETE", "POST"}
    assert cli.requests == []


def test_a_user_is_found_by_name(cli: Cli) -> None:
    page = {"items": [{"username": "ann", "id": "1"}, {"username": "bob", "id": "2"}], "nextCursor": None}
    cli.answers += [(200, page), DONE]
    assert cli("user", "remove", "acme", "bob", "--yes").code == 0
    assert cli.asked == ["GET /api/org/acme/user", "DELETE /api/org/acme/user/2"]
    cli.answers.append((200, page))
    assert cli("user", "remove", "acme", "carl", "--yes").code == 4


def test_lists_are_read_to_their_end(cli: Cli) -> None:
    cli.answers += [(200, {"items": [{"slug": "a"}], "nextCursor": "c1"}), (200, {"items": [{"slug": "b"}], "nextCursor": None})]
    assert [org["slug"] for org in json.loads(cli("org", "list", "-o", "json").out)] == ["a", "b"]
    assert cli.asked == ["GET /api/org", "GET /api/org?cursor=c1"]


def test_a_limit_ends_the_reading(cli: Cli) -> None:
    cli.answers += [(200, {"items": [{"slug": str(n)} for n in range(200)], "nextCursor": "c"}), (200, {"items": [{}] * 60, "nextCursor": "d"})]
    assert len(json.loads(cli("org", "list", "--limit", "250", "-o", "json").out)) == 250
    assert cli.asked == ["GET /api/org?limit=200", "GET /api/org?cursor=c&limit=50"]


def test_a_list_that_never_ends_is_left(cli: Cli) -> None:
    cli.answers += [(200, {"items": [], "nextCursor": "c"})] * 2
    assert cli("org", "list").code == 0


SECRETS = [
    ("key create ci", "apiKey"),
    ("key rotate k1", "apiKey"),
    ("model publish m --org acme", "apiKey"),
    ("user add acme bob", "initialPassword"),
]


@pytest.mark.parametrize(("command", "name"), SECRETS)
def test_a_secret_is_data_and_the_warning_is_talk(cli: Cli, command: str, name: str) -> None:
    cli.answers.append((201, {"id": "x", name: "s3cret"}))
    ran = cli(*command.split(), "-o", "json")
    assert json.loads(ran.out) == {"id": "x", name: "s3cret"}
    assert "not shown again" in ran.err
    assert "s3cret" not in ran.err


def test_a_file_and_options_make_one_configuration(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    file.write_text('{"config": {"tenantId": "acme", "rateLimiting": {"requestsPerMinute": 1, "tokensPerHour": null}, "authentication": null}}')
    cli.answers.append(MADE)
    assert cli("model", "publish", "m", "-f", str(file), "--requests-per-minute", "7", "--allow", "a").code == 0
    assert cli.body["config"] == {
        "tenantId": "acme",
        "rateLimiting": {"requestsPerMinute": 7, "tokensPerHour": None},
        "authentication": {"allowedTenants": ["a"]},
    }


@pytest.mark.parametrize("content", ["no json", "[]", '"text"', '{"config": 3}'])
def test_a_file_that_is_no_configuration_is_wrong_use(cli: Cli, tmp_path: Path, content: str) -> None:
    file = tmp_path / "model.json"
    file.write_text(content)
    assert cli("model", "publish", "m", "--org", "acme", "-f", str(file)).code == 2


@pytest.mark.parametrize(
    "command",
    ["model publish m", "model update m", "user add acme bob --role king", "org list --limit 0", "key create ci --expires soon", "nonsense"],
)
def test_wrong_use(cli: Cli, command: str) -> None:
    ran = cli(*command.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err


STATUSES = [(400, 2), (401, 3), (403, 3), (404, 4), (409, 5), (412, 5), (422, 2), (429, 6), (500, 1), (503, 6)]


@pytest.mark.parametrize(("status", "code"), STATUSES)
def test_problems_are_sentences_with_their_code(cli: Cli, problem: Problem, status: int, code: int) -> None:
    cli.answers.append(problem(status, "some_code", "This went wrong."))
    ran = cli("org", "show", "acme")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("ias-admin: This went wrong. (some_code)\n")


@pytest.mark.parametrize("body", ["not an object", {"error": "of a proxy"}], ids=["text", "foreign"])
def test_an_error_of_somebody_else_is_told_as_it_is(cli: Cli, body: Any) -> None:
    cli.answers.append((502, body))
    ran = cli("org", "show", "acme")
    assert (ran.code, ran.err) == (6, "ias-admin: http://127.0.0.1:8085/api/org/acme answered 502 Bad Gateway.\n")


def test_an_unhealthy_backend_is_shown_and_is_a_failure(cli: Cli) -> None:
    cli.answers.append((200, {"name": "vllm", "health": "unhealthy", "healthReason": "connection refused"}))
    ran = cli("backend", "check", "vllm")
    assert ran.code == 6
    assert "connection refused" in ran.out
    assert ran.err == "ias-admin: The backend 'vllm' is unhealthy: connection refused.\n"


def test_an_explanation_is_a_page_in_order(cli: Cli) -> None:
    steps = [{"at": "2026-11-27T10:00:00.5Z", "text": "ada of acme asked."}, {"at": "2026-11-27T10:00:01Z", "text": "Refused\x1b[31m with 429."}]
    cli.answers.append((200, {"items": [{"decision": "refused", "requestId": "r1", "steps": steps}]}))
    ran = cli("explain", "r1")
    assert ran.out.splitlines() == [
        "Request r1: refused",
        "  2026-11-27 10:00:00.500  ada of acme asked.",
        "  2026-11-27 10:00:01.000  Refused\N{REPLACEMENT CHARACTER}[31m with 429.",
    ]


def test_what_the_api_exports_is_passed_on_as_it_is(cli: Cli) -> None:
    cli.answers.append((200, "timestamp,id\r\n"))
    assert json.loads(cli("audit", "export", "acme").out) == "timestamp,id\r\n", "the stand-in speaks JSON only"
    assert cli.requests[0].headers["accept"] == "text/csv"


def test_documentation_goes_to_a_file(cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "m.html"
    cli.answers.append((200, "<p>how</p>"))
    ran = cli("model", "docs", "m", "--format", "html", "-o", str(page))
    assert (ran.code, ran.out, page.read_text()) == (0, "", '"<p>how</p>"')
    cli.answers.append((200, "text"))
    ran = cli("model", "docs", "m", "-o", str(tmp_path / "no-folder" / "m.md"))
    assert (ran.code, "No such file" in ran.err) == (1, True)


def test_own_and_everybodys_usage_exclude_each_other(cli: Cli) -> None:
    assert cli("usage", "top", "--org", "acme", "--system").code == 2
