"""What the pages name is there: files, settings, make targets, commands. A page that says what is not true any more is worse than none."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from typer.main import get_command

from ias.settings import PREFIX
from ias_admin.cli import app as ias_admin
from standalone.cli import app as ias
from standalone.gateway_cli import gateway
from tests.repo.tracked import ROOT, tracked
from tools.settings_doc import settings_classes

PAGES = [page for page in tracked(".md") if page.parts[0] not in {"tests", "charts"} and page.name != "CHANGELOG.md"]
"""The log of changes tells what was, too."""
FILES = [str(path) for path in tracked()]
FOLDERS = {f"{folder}/" for path in tracked() for folder in path.parents}
OURS = {path.parts[0] for path in tracked() if len(path.parts) > 1}
SETTINGS = {f"{PREFIX}{name.upper()}" for cls in settings_classes() for name in cls.model_fields}
READ_ELSEWHERE = {
    name
    for path in tracked()
    if path.suffix in {".py", ".sh"} and path.name != "test_settings.py"
    for name in re.findall(r"\bIAS_[A-Z0-9_]+", (ROOT / path).read_text())
}
"""Variables of the command lines, of tools and of tests."""
TARGETS = re.findall(r"^([a-z0-9%][a-z0-9 %-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
PROGRAMS = {"ias-admin": get_command(ias_admin), "ias": get_command(ias), "ias gateway": get_command(gateway)}


def code_of(page: Path) -> list[str]:
    """Everything that a page shows as code, blocks line by line."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_files_and_folders(page: Path) -> None:
    named = {
        word for code in code_of(page) for word in re.findall(r"(?<![\w./:<{$*-])[a-z_][\w./*-]*(?:\.(?:py|lua|proto|md|toml|tpl)\b|/(?= |$))", code)
    }
    assert sorted(name for name in named if not _is_there(name, page)) == []


def _is_there(name: str, page: Path) -> bool:
    """A name may leave out the folder that its page, or its sentence, speaks of."""
    if name.endswith("/"):
        return name in FOLDERS or any(folder.endswith(f"/{name}") for folder in FOLDERS) or name.partition("/")[0] not in OURS
    return any(fnmatch(file, name) or fnmatch(file, f"*/{name}") for file in FILES)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_settings(page: Path) -> None:
    known = SETTINGS | {f"{name}_FILE" for name in SETTINGS} | READ_ELSEWHERE
    named = set(re.findall(r"\bIAS_[A-Z0-9_]+", (ROOT / page).read_text()))
    assert sorted(name for name in named if name not in known and not (name.endswith("_") and any(one.startswith(name) for one in SETTINGS))) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_make_targets(page: Path) -> None:
    known = {target for targets in TARGETS for target in targets.split()}
    named = {target for code in code_of(page) for target in re.findall(r"(?:^|[ (])make ([a-z0-9-]+)", code)}
    benchmarks = {f"bench-{path.stem.replace('_', '-')}" for path in tracked(".py") if path.parts[0] == "benchmarks"}
    assert sorted(named - known - benchmarks) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands(page: Path) -> None:
    wrong = []
    for code in code_of(page):
        for program, words in re.findall(r"(?:^|[ ($/])(ias-admin|ias gateway|ias)((?: [a-z][a-z-]*)+)(?![\w=/])", code):
            node = PROGRAMS[program]
            for word in words.split():
                if not (commands := getattr(node, "commands", None)):
                    break
                if word not in commands:
                    wrong.append(f"{program}{words}")
                    break
                node = commands[word]
    assert wrong == []
