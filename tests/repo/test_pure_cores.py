"""The pure cores are pure: time and randomness come in as arguments, nothing is awaited, logged or read from outside."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATTERNS = [line for line in (ROOT / "tools" / "pure_cores.txt").read_text().splitlines() if not line.startswith("#")]
MODULES = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
IMPURE = {
    "asyncio",
    "logging",
    "os",
    "random",
    "socket",
    "threading",
    "time",
    "asyncpg",
    "grpc",
    "httpx2",
    "prometheus_client",
    "redis",
    "sqlalchemy",
}
IMPURE_OURS = {"ias.logs", "ias.telemetry", "ias.settings"}


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_every_line_of_the_list_names_a_module() -> None:
    assert [pattern for pattern in PATTERNS if not list(ROOT.glob(pattern))] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_pure_core_touches_nothing_outside(module: Path) -> None:
    tree = ast.parse(module.read_text())
    names = imported(tree)
    assert not {name for name in names if name.partition(".")[0] in IMPURE or name in IMPURE_OURS}
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree))
