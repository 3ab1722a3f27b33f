"""What is installed beside us, and what our packages may not import."""

import ast
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repo.test_layout import PACKAGES
from tests.repo.tracked import ROOT, tracked

IN_TESTS_ONLY = {"atheris", "h2", "envoy_data_plane", "betterproto", "betterproto2", "grpc_testing", "grpc_tools", "hypothesis", "pytest", "openai"}
POISON = {
    "xds-protos": "installs into the folders of other packages, and a top-level `test`",
    "ratelimit": "has the import name of our package",
    "protos": "has the import name of our package",
    "extproc": "has the import name of our package",
}
NOT_OURS = {"openai": {"standalone"}}
"""What a room may use all the same."""


@pytest.mark.parametrize("name", POISON)
def test_poison_is_not_installed(name: str) -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version(name)


@pytest.mark.parametrize("package", sorted(PACKAGES | {"tests"}))
def test_our_packages_have_one_owner(package: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(package, []))
    assert owners <= {"ias-gateway"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


SOURCES = [path for path in tracked(".py") if path.parts[0] in PACKAGES]


def test_what_is_for_tests_stays_in_tests() -> None:
    found = {(str(path), name) for path in SOURCES for name in set(imports(path)) & IN_TESTS_ONLY if path.parts[0] not in NOT_OURS.get(name, set())}
    assert found == set()


def test_no_package_imports_its_tests() -> None:
    assert [str(path) for path in SOURCES if {"tests", "benchmarks", "examples", "tools"} & set(imports(path))] == []


def test_only_transports_know_grpc() -> None:
    knows = {str(path) for path in SOURCES if {"grpc", "grpc_health"} & set(imports(path))}
    assert knows <= {"ias/transport_grpcio.py", "ias/health.py"}
