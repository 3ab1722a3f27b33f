"""Documents that say what the code does are checked against it."""

import re
from pathlib import Path

import pytest

from tests.repo.tracked import ROOT, tracked
from tools import errors_doc, settings_doc

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def test_the_page_of_settings_is_current() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_doc.render(), "run: make docs"


def test_the_page_of_errors_is_current() -> None:
    assert (ROOT / "docs" / "errors.md").read_text() == errors_doc.render(), "run: make docs"


def test_every_setting_of_every_service_is_on_the_page() -> None:
    page = settings_doc.render()
    classes = settings_doc.settings_classes()
    assert len(classes) >= 4
    assert [field for cls in classes for field in cls.model_fields if f"`IAS_{field.upper()}`" not in page] == []


@pytest.mark.parametrize("cls", settings_doc.settings_classes(), ids=lambda cls: cls.__name__)
def test_every_setting_is_described(cls: type) -> None:
    assert [name for name, field in cls.model_fields.items() if not (field.description or "").strip().endswith(".")] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", settings_doc.settings_classes(), ids=lambda cls: cls.__name__)
def test_what_is_secret_is_masked(cls: type) -> None:
    """By its name a setting tells that it is secret; then its type must know, too."""
    secret = re.compile(r"secret|password|pepper|token$|_keys$|database_url|valkey_url")
    found = {name: str(field.annotation) for name, field in cls.model_fields.items() if secret.search(name)}  # type: ignore[attr-defined]
    assert {name: kind for name, kind in found.items() if "Secret" not in kind} == {}


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_why_what_and_who_guards_it(path: Path) -> None:
    text = path.read_text()
    assert re.match(r"# \d+\. \S", text)
    assert re.findall(r"^\*\*(Context|Decision|Consequence|Enforced by)\.\*\*", text, re.MULTILINE) == [
        "Context",
        "Decision",
        "Consequence",
        "Enforced by",
    ]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_what_guards_a_decision_exists(path: Path) -> None:
    guards = path.read_text().partition("**Enforced by.**")[2]
    named = [
        name.partition("::")[0] for name in re.findall(r"`((?:tests|tools|ias|controlplane|extauth|extproc|ratelimit|standalone)/[\w/.*-]+)", guards)
    ]
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", tracked(".md"), ids=str)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    assert [link for link in LINK.findall(text) if not (ROOT / page.parent / link).exists()] == []
