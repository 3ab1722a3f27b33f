"""How data looks."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from ias_admin.cli import app
from ias_admin.output import Format, _cell, print_list, print_object
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


def test_help_of_every_command(cli: Cli) -> None:
    pages = []
    for command in commands():
        ran = cli(*command, "--help")
        assert (ran.code, ran.err) == (0, "")
        pages.append(f"$ ias-admin {' '.join((*command, '--help'))}\n{ran.out}")
    assert_golden("ias_admin/help.txt", "\n".join(pages))


def test_json_keeps_what_the_api_said(cli: Cli) -> None:
    cli.answers.append((200, USAGE))
    assert json.loads(cli("usage", "system", "-o", "json").out) == USAGE
