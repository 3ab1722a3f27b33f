"""How data looks."""

import json
import re
import shlex

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from ias.csv_cells import original
from ias_admin.cli import _ANYWHERE, app
from ias_admin.output import Format, _cell, _title, print_list, print_object
from tests.support.golden import assert_golden
from tests.unit.ias_admin.conftest import Cli

USAGE = {
    "from": "2026-11-01T00:00:00Z",
    "to": None,
    "totals": {"requests": 3, "inputTokens": 30, "outputTokens": 12},
    "byModel": [{"model": "llama", "requests": 2, "streamed": True}, {"model": "phi\x1b[31m", "requests": 1, "streamed": False}],
    "byKey": [],
    "tags": {},
    "names": ["a", "b: c", "- d", "ü\u2028", "no", ""],
}


@pytest.mark.parametrize("output", list(Format))
def test_an_object(capsys: pytest.CaptureFixture[str], output: Format) -> None:
    print_object(USAGE, output)
    assert_golden(f"ias_admin/object.{output}", capsys.readouterr().out)


@pytest.mark.parametrize("output", list(Format))
def test_a_list(capsys: pytest.CaptureFixture[str], output: Format) -> None:
    items = [{"slug": "acme", "limits": {"perMinute": 5}}, {"slug": "[bold]x" + "long " * 40, "limits": {}}, {}]
    print_list(items, ["slug", "limits.perMinute"], output)
    assert_golden(f"ias_admin/list.{output}", capsys.readouterr().out)


@pytest.mark.parametrize("output", list(Format))
def test_an_empty_list(capsys: pytest.CaptureFixture[str], output: Format) -> None:
    print_list([], ["slug"], output)
    assert capsys.readouterr().out.strip() in {"slug", "[]", "slug\n────"}


def test_numbers_are_for_people() -> None:
    assert [_cell(value) for value in (7.436135256764729, 0.0, 1.0, 12345.678, 3, 123456789)] == ["7.436", "0", "1", "12346", "3", "123456789"]


@pytest.mark.parametrize(("field", "title"), [("latency.p50Ms", "latency p50 ms"), ("totals.inputTokens", "totals input tokens"), ("p99", "p99")])
def test_titles_are_words(field: str, title: str) -> None:
    assert _title(field) == title


def test_a_mapping_in_a_cell_is_shown_and_an_empty_one_is_a_dash() -> None:
    assert _cell({"role": "org_admin"}) == '{"role": "org_admin"}'
    assert _cell({}) == _cell([]) == _cell(None) == "-"


@given(st.text(st.characters(categories=["Cc", "Cf", "Lu", "So"])))
def test_no_name_steers_the_terminal(text: str) -> None:
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in _cell(text))


def test_yaml_is_what_a_parser_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_object(USAGE, Format.YAML)
    assert yaml.safe_load(capsys.readouterr().out) == USAGE


def commands() -> list[tuple[str, ...]]:
    root = get_command(app)
    found: list[tuple[str, ...]] = [()]
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        found.append((name,))
        found.extend((name, verb) for verb in getattr(command, "commands", {}))
    return found


@pytest.mark.parametrize("noun", sorted({command[0] if command else "" for command in commands()}))
def test_help_of_every_command(cli: Cli, noun: str) -> None:
    pages = []
    for command in commands():
        if (command[0] if command else "") == noun:
            ran = cli(*command, "--help")
            assert (ran.code, ran.err) == (0, "")
            pages.append(f"$ ias-admin {' '.join((*command, '--help'))}\n{ran.out}")
    assert_golden(f"ias_admin/help/{noun or 'ias-admin'}.txt", "\n".join(pages))


@pytest.mark.parametrize("command", [command for command in commands() if command], ids=" ".join)
def test_every_command_has_examples_that_are_right(cli: Cli, command: tuple[str, ...]) -> None:
    node = get_command(app)
    for word in command:
        node = node.commands[word]  # type: ignore[attr-defined]
    if hasattr(node, "commands"):
        return
    shown = [re.split("[<>]", line)[0] for line in (node.epilog or "").splitlines() if line.startswith("  ias-admin ")]
    assert shown, f"give {' '.join(command)} its examples: @app.command(epilog=examples('{' '.join(command)} ...'))"
    for line in shown:
        words = shlex.split(line)[1:]
        words = [word for word in words if word not in _ANYWHERE]
        assert tuple(words[: len(command)]) == command
        node.make_context(command[-1], words[len(command) :])  # raises for what cannot be parsed


def test_json_keeps_what_the_api_said(cli: Cli) -> None:
    cli.answers.append((200, USAGE))
    assert json.loads(cli("usage", "system", "-o", "json").out) == USAGE


def test_csv_runs_nothing_in_a_spreadsheet(capsys: pytest.CaptureFixture[str]) -> None:
    print_list([{"name": "=1+1", "n": -5, "note": 'a, "b"'}, {"name": "\tx", "n": None, "note": "ok"}], ["name", "n", "note"], Format.CSV)
    assert capsys.readouterr().out == 'name,n,note\n\'=1+1,-5,"a, ""b"""\n\ufffdx,,ok\n'


def test_csv_gives_every_text_back(capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["'=1", "=1", "plain", "\uff1d1"]
    print_list([{"name": text} for text in texts], ["name"], Format.CSV)
    cells = capsys.readouterr().out.splitlines()[1:]
    assert cells == ["''=1", "'=1", "plain", "'\uff1d1"]
    assert [original(cell) for cell in cells] == texts


def test_quiet_says_errors_only(cli: Cli) -> None:
    cli.sign_in()
    cli.answers.append((204, None))
    ran = cli("key", "revoke", "k1", "--yes", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert cli("context", "use", "nowhere", "-q").err != ""


def test_a_dry_run_reads_and_shows_what_it_would_change(cli: Cli) -> None:
    cli.answers.append((200, {"items": [{"username": "bob", "id": "2"}], "nextCursor": None}))
    ran = cli("user", "remove", "acme", "bob", "--dry-run")
    assert ran.code == 0
    assert json.loads(ran.out) == {"method": "DELETE", "path": "/api/org/acme/user/2", "body": None}
    assert cli.asked == ["GET /api/org/acme/user"]


def test_a_dry_run_shows_no_password(cli: Cli) -> None:
    ran = cli("login", "-u", "admin", "--dry-run")
    assert json.loads(ran.out)["body"] == {"username": "admin", "password": "***"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_each_shell(cli: Cli, shell: str) -> None:
    ran = cli("completion", shell)
    assert ran.code == 0
    assert "_IAS_ADMIN_COMPLETE" in ran.out


def test_the_format_can_come_from_the_environment_and_the_option_wins(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAS_ADMIN_OUTPUT", "csv")
    cli.answers += [(200, {"items": [{"slug": "a"}], "nextCursor": None})] * 2
    assert cli("org", "list").out.splitlines()[0] == "slug,name,status,createdAt,id"
    assert json.loads(cli("org", "list", "-o", "json").out) == [{"slug": "a"}]
