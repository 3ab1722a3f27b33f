"""The house: which rooms there are, and how large a file may grow."""

from pathlib import Path

import pytest

from tests.repo.tracked import ROOT, tracked

PACKAGES = {"protos", "ias", "ratelimit", "extauth", "extproc", "controlplane", "ias_admin", "standalone"}
FOLDERS = PACKAGES | {"envoy", "tests", "benchmarks", "examples", "docs", "tools", "requirements", "charts", ".ci", ".github"}
LATER = {"deploy", "portal"}
"""Come with their content."""
FILES = {
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "pyproject.toml",
}
NOT_PACKAGES = ["envoy", "charts", "deploy"]
TIERS = {"unit", "property", "conformance", "component", "dataplane", "e2e", "kubernetes", "repo"}
MAX_LINES = 400


def test_there_are_these_folders_and_no_others() -> None:
    found = {path.parts[0] for path in tracked() if len(path.parts) > 1}
    assert found - FOLDERS - LATER == set()
    assert PACKAGES | {"envoy", "tests", "docs", "tools", "requirements"} <= found


def test_the_root_holds_what_people_look_for_and_no_code() -> None:
    found = {path.name for path in tracked() if len(path.parts) == 1}
    assert found >= FILES
    assert [name for name in found if name.endswith((".py", ".sh"))] == []


@pytest.mark.parametrize("folder", NOT_PACKAGES)
def test_a_folder_that_would_hide_an_installed_package_is_none(folder: str) -> None:
    """`envoy` is also the name of the package that brings Envoy's binary."""
    assert [path for path in tracked("__init__.py") if path.parts[0] == folder] == []


def test_every_folder_of_a_package_is_a_package() -> None:
    folders = {path.parent for path in tracked(".py") if path.parts[0] in PACKAGES and "migrations" not in path.parts}
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").exists()] == []


def test_tests_are_in_tiers() -> None:
    tests = [path for path in tracked(".py") if path.parts[0] == "tests" and path.name.startswith("test_")]
    assert {path.parts[1] for path in tests} <= TIERS
    assert {path.parts[1] for path in tests} >= {"unit", "property", "conformance", "repo"}


def hand_written() -> list[Path]:
    return [path for path in tracked(".py") if not path.name.endswith("_pb2.py")]


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = {str(path): lines for path in hand_written() if (lines := (ROOT / path).read_text().count("\n")) > MAX_LINES}
    assert long == {}


def test_no_module_is_a_drawer_for_everything() -> None:
    names = {"utils.py", "util.py", "helpers.py", "helper.py", "manager.py", "base.py", "common.py", "misc.py"}
    assert [path for path in hand_written() if path.name in names] == []
