"""Signing in, and what is remembered of it."""

import io
import json
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from ias_admin.errors import ADVICE
from tests.unit.ias_admin.conftest import SESSION, Cli, Problem


def test_login_keeps_the_token_in_a_file_that_only_its_owner_reads(cli: Cli, config_file: Path) -> None:
    cli.answers.append((200, SESSION))
    ran = cli("login", "--url", "https://ias.example/", "--username", "admin")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "Signed in to https://ias.example as admin (system_admin) until 2026-11-21T12:00:00Z.\n"
    assert cli.asked == ["POST /api/admin/login"]
    assert cli.body == {"username": "admin", "password": "correct horse"}
    assert "authorization" not in cli.requests[0].headers
    assert stat.S_IMODE(config_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(config_file.parent.stat().st_mode) == 0o700
    assert [path.name for path in config_file.parent.iterdir()] == ["config.toml"]

    cli.answers.append((200, SESSION["user"]))
    assert "system_admin" in cli("whoami").out
    assert str(cli.requests[-1].url) == "https://ias.example/api/me"
    assert cli.requests[-1].headers["authorization"] == "Bearer t0ken"


def test_the_password_comes_from_stdin_when_it_is_no_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IAS_ADMIN_PASSWORD")
    monkeypatch.setattr(sys, "stdin", io.StringIO("from stdin\n"))
    cli.answers.append((200, SESSION))
    assert cli("login", "--username", "admin").code == 0
    assert cli.body["password"] == "from stdin"


@pytest.mark.parametrize(("arguments", "missing"), [(["-u", "admin"], "Password"), ([], "User name")])
def test_without_a_terminal_nothing_is_asked(cli: Cli, monkeypatch: pytest.MonkeyPatch, arguments: list[str], missing: str) -> None:
    monkeypatch.delenv("IAS_ADMIN_PASSWORD")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    ran = cli("login", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert missing in ran.err


def test_the_password_comes_from_a_file(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from a file\nand no more\n")
    cli.answers.append((200, SESSION))
    assert cli("login", "-u", "admin", "--password-file", str(file)).code == 0
    assert cli.body["password"] == "from a file"
    ran = cli("login", "-u", "admin", "--password-file", str(tmp_path / "none"))
    assert (ran.code, "Cannot read" in ran.err) == (2, True)


def test_contexts_are_made_used_and_forgotten(cli: Cli) -> None:
    cli.sign_in()
    assert cli("context", "set", "staging", "--url", "https://staging.example/", "--use").code == 0
    listed = cli("context", "list", "-o", "csv").out.splitlines()
    assert listed[0] == "name,current,url,username,expiresAt"
    assert listed[2] == "staging,yes,https://staging.example,,"
    assert cli("context", "delete", "staging").code == 0
    assert cli("context", "delete", "staging").code == 4
    assert cli("context", "set", "bad", "--url", "ftp://x").code == 2


def test_a_new_address_forgets_the_sign_in(cli: Cli, config_file: Path) -> None:
    cli.sign_in()
    assert "t0ken" in config_file.read_text()
    cli("context", "set", "default", "--url", "https://elsewhere.example")
    assert "t0ken" not in config_file.read_text()


def test_no_command_takes_a_password_as_argument(cli: Cli) -> None:
    assert cli("login", "--username", "admin", "--password", "x").code == 2
    assert cli("user", "add", "acme", "bob", "--password", "x").code == 2


def test_a_wrong_password_is_said_plainly_and_keeps_nothing(cli: Cli, problem: Problem, config_file: Path) -> None:
    cli.answers.append(problem(401, "invalid_credentials", "User name or password is wrong."))
    ran = cli("login", "-u", "admin")
    assert (ran.code, ran.out, ran.err) == (3, "", "ias-admin: User name or password is wrong. (invalid_credentials)\n")
    assert not config_file.exists()


def test_logout_forgets(cli: Cli, config_file: Path) -> None:
    cli.sign_in()
    cli.answers.append((204, None))
    assert cli("logout").err == "Signed out of default.\n"
    assert cli.asked == ["DELETE /api/session"]
    assert "t0ken" not in config_file.read_text()
    assert cli("logout").err == "Nobody was signed in.\n"


def test_logout_of_a_session_that_has_ended_forgets_it_too(cli: Cli, config_file: Path, problem: Problem) -> None:
    cli.sign_in()
    cli.answers.append(problem(401, "invalid_token", "Sign in."))
    assert cli("logout").code == 0
    assert "t0ken" not in config_file.read_text()


def test_logout_everywhere_ends_all_sessions(cli: Cli) -> None:
    cli.sign_in()
    cli.answers.append((204, None))
    assert cli("logout", "--everywhere").err == "Signed out of default and everywhere else.\n"
    assert cli.asked == ["DELETE /api/session?everywhere=true"]


def test_a_token_that_ends_soon_is_renewed_when_it_is_used(cli: Cli, config_file: Path) -> None:
    soon, later = ((datetime.now(UTC) + timedelta(minutes=minutes)).isoformat() for minutes in (5, 60))
    cli.answers.append((200, SESSION | {"expiresAt": soon}))
    cli("login", "-u", "admin")
    cli.answers += [(200, SESSION | {"token": "renewed", "expiresAt": later}), (200, SESSION["user"])]
    assert cli("whoami").code == 0
    assert cli.asked[1:] == ["POST /api/session/renew", "GET /api/me"]
    assert cli.requests[-1].headers["authorization"] == "Bearer renewed"
    assert "renewed" in config_file.read_text()
    cli.answers.append((200, SESSION["user"]))
    cli("whoami")
    assert cli.asked[3:] == ["GET /api/me"]


def test_a_changed_password_comes_from_files_and_is_never_shown(cli: Cli, tmp_path: Path) -> None:
    cli.sign_in()
    (tmp_path / "old").write_text("old one\n")
    (tmp_path / "new").write_text("new one\n")
    arguments = ("password", "change", "--password-file", str(tmp_path / "old"), "--new-password-file", str(tmp_path / "new"))
    shown = cli("--dry-run", *arguments)
    assert "old one" not in shown.out
    assert "new one" not in shown.out
    cli.answers.append((204, None))
    assert cli(*arguments).code == 0
    assert cli.body == {"currentPassword": "old one", "newPassword": "new one"}


def test_a_forgotten_password_is_asked_for_by_mail_and_set_by_its_link(cli: Cli, monkeypatch: pytest.MonkeyPatch, config_file: Path) -> None:
    cli.answers.append((202, None))
    assert "on its way" in cli("password", "reset", "ada@example.com").err
    assert cli.body == {"username": "ada@example.com"}
    monkeypatch.setattr(sys, "stdin", io.StringIO("https://ias.example/password-reset#token=s3cret\na new password\n"))
    cli.answers.append((200, SESSION))
    ran = cli("password", "reset", "--link")
    assert cli.body == {"token": "s3cret", "newPassword": "a new password"}
    assert "s3cret" not in ran.out + ran.err
    assert "t0ken" in config_file.read_text()


def test_an_invite_is_accepted_by_its_link_and_begins_a_session(cli: Cli, monkeypatch: pytest.MonkeyPatch, config_file: Path) -> None:
    monkeypatch.setenv("IAS_ADMIN_LINK", "https://ias.example/invite#token=s3cret")
    monkeypatch.setenv("IAS_ADMIN_NEW_PASSWORD", "a new password")
    cli.answers.append((200, SESSION))
    assert cli("invite", "accept", "--username", "ada").code == 0
    assert cli.body == {"token": "s3cret", "password": "a new password", "username": "ada"}
    assert "t0ken" in config_file.read_text()


def test_an_invite_whose_mail_failed_is_shown_and_fails(cli: Cli) -> None:
    sent = {"id": "i", "delivery": "failed", "deliveryProblem": "No server.", "link": None}
    cli.answers.append((201, sent))
    ran = cli("invite", "create", "acme", "ada@example.com", "-o", "json")
    assert (ran.code, json.loads(ran.out)) == (1, sent)
    assert "No server." in ran.err


def test_contexts_are_apart(cli: Cli) -> None:
    cli.sign_in(context="staging", url="https://staging.example")
    cli.sign_in(context="live", url="https://live.example")
    assert [(one["name"], one["current"]) for one in json.loads(cli("context", "list", "-o", "json").out)] == [("live", True), ("staging", False)]
    assert cli("context", "use", "staging").code == 0
    assert cli("context", "use", "nowhere").code == 4
    cli.answers += [(200, {"items": [], "nextCursor": None})] * 2
    cli("org", "list")
    cli("--context", "live", "org", "list")
    assert [request.url.host for request in cli.requests] == ["staging.example", "live.example"]


def test_a_token_is_sent_to_its_own_address_only(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.sign_in(url="https://live.example")
    cli.answers += [(200, {})] * 3
    cli("whoami")
    cli("--url", "https://other.example", "whoami")
    monkeypatch.setenv("IAS_ADMIN_TOKEN", "of the environment")
    cli("--url", "https://other.example", "whoami")
    assert [request.headers.get("authorization") for request in cli.requests] == ["Bearer t0ken", None, "Bearer of the environment"]


def test_environment_is_above_context_and_below_options(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.sign_in(url="https://context.example")
    monkeypatch.setenv("IAS_ADMIN_URL", "https://environment.example")
    cli.answers += [(200, {})] * 2
    cli("whoami")
    cli("--url", "https://option.example", "whoami")
    assert [request.url.host for request in cli.requests] == ["environment.example", "option.example"]


@pytest.mark.parametrize("content", ["not toml", "contexts = 3", '[contexts.a]\nwrong = "field"\n', "\x00"], ids=["text", "type", "field", "binary"])
def test_a_broken_file_is_named(cli: Cli, config_file: Path, content: str) -> None:
    config_file.parent.mkdir()
    config_file.write_text(content)
    ran = cli("whoami")
    assert ran.code == 1
    assert str(config_file) in ran.err
    assert config_file.read_text() == content


def test_names_of_contexts_may_be_anything(cli: Cli) -> None:
    name = 'a."b"\\\n[x] \x7f ü 😀'
    cli.sign_in(context=name)
    assert json.loads(cli("context", "list", "-o", "json").out)[0]["name"] == name


def test_an_expired_sign_in_says_what_to_do(cli: Cli, problem: Problem) -> None:
    cli.sign_in()
    cli.answers.append(problem(401, "invalid_token", "The session has ended."))
    ran = cli("whoami")
    assert (ran.code, ran.err) == (3, "ias-admin: The session has ended. (invalid_token)\nSign in: ias-admin login\n")


def test_who_never_signed_in_is_told_so(cli: Cli, problem: Problem) -> None:
    cli.answers.append(problem(401, "invalid_token", "Sign in with POST /api/login."))
    ran = cli("whoami")
    assert (ran.code, ran.err) == (3, "ias-admin: You are not signed in to http://127.0.0.1:8085.\nSign in: ias-admin login\n")


def test_a_context_that_there_is_not(cli: Cli) -> None:
    ran = cli("--context", "stagign", "org", "list")
    assert (ran.code, cli.asked) == (4, [])
    assert ran.err == "ias-admin: There is no context 'stagign'. Make it: ias-admin --context stagign --url URL login\n"


@pytest.mark.parametrize(("code", "advice"), ADVICE.items())
def test_advice_names_commands_that_there_are(cli: Cli, problem: Problem, code: str, advice: str) -> None:
    cli.sign_in()
    cli.answers.append(problem(409, code, "No."))
    assert cli("whoami").err == f"ias-admin: No. ({code})\n{advice}\n"
    assert cli(*advice.partition("ias-admin ")[2].split(), "--help").code == 0


@pytest.mark.parametrize("error", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow"), httpx2.RemoteProtocolError("garbage")])
def test_an_unreachable_control_plane_is_a_sentence(cli: Cli, error: Exception) -> None:
    cli.answers.append(error)
    ran = cli("whoami")
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.startswith("ias-admin: ")
    assert "http://127.0.0.1:8085" in ran.err


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://", "https:/one-slash"])
def test_an_address_that_is_none_is_wrong_use(cli: Cli, url: str) -> None:
    ran = cli("--url", url, "whoami")
    assert (ran.code, ran.err) == (2, f"ias-admin: '{url.rstrip('/')}' is not an address like http://127.0.0.1:8085.\n")


def test_a_post_whose_answer_was_lost_is_asked_for_again_under_the_same_key(cli: Cli) -> None:
    cli.sign_in()
    cli.answers += [httpx2.ReadError("reset"), (201, {"id": "x"})]
    assert cli("org", "create", "Acme").code == 0
    first, second = (request.headers["idempotency-key"] for request in cli.requests)
    assert first == second
    cli.answers.append((201, {"id": "y"}))
    assert cli("org", "create", "Acme").code == 0
    assert cli.requests[-1].headers["idempotency-key"] != first, "another command is another wish"


def test_a_post_is_asked_for_no_more_than_twice(cli: Cli) -> None:
    cli.sign_in()
    cli.answers += [httpx2.ReadError("reset")] * 2
    ran = cli("org", "create", "Acme")
    assert (ran.code, len(cli.requests)) == (6, 2)
    assert "broke the connection" in ran.err
