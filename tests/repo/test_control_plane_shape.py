"""What the control plane's modules may do: SQL in repositories, and no decision on a URL that the client's headers made."""

import ast
from pathlib import Path

import pytest

from tests.repo.test_pure_cores import imported

ROOT = Path(__file__).parents[2] / "controlplane"
STATEMENTS = {
    f"{module}.{verb}" for module in ("sqlalchemy", "sqlalchemy.dialects.postgresql") for verb in ("select", "insert", "update", "delete", "text")
}
MACHINERY = {
    "api.py": "asks whether the database answers",
    "database.py": "migrates",
    "database_roles.py": "makes roles",
    "unit_of_work.py": "writes the change log",
    "accounts/service.py": "the lock of the first System Admin",
    "audit/sealing.py": "the chain of hashes",
    "keys/filtering.py": "conditions, for the repository of keys",
    "publishing/reconciler.py": "the desired state, its lock",
}
"""Files that are no repositories and have SQL, with the reason. It gets shorter, not longer."""
MODULES = [path for path in sorted(ROOT.rglob("*.py")) if "migrations" not in path.parts]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def has_sql(path: Path) -> bool:
    return bool(imported(ast.parse(path.read_text())) & STATEMENTS)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_sql_is_in_repositories(path: Path) -> None:
    allowed = path.name in {"repository.py", "ledger_sql.py", "analytics_sql.py", "tables.py"} or _name(path) in MACHINERY
    assert allowed or not has_sql(path), f"controlplane/{_name(path)} builds SQL: that belongs into the repository of its domain, within a reach"


def test_the_list_of_exceptions_holds_no_file_without_sql() -> None:
    assert [name for name in MACHINERY if not has_sql(ROOT / name)] == []


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_nothing_is_decided_on_a_url_that_the_host_header_is_part_of(path: Path) -> None:
    """Starlette makes `request.url` of the Host header, too (CVE-2026-49468 is such a mistake); what is dispatched is `scope["path"]`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in {"url", "base_url", "url_for"} and isinstance(node.value, ast.Name):
            assert node.value.id != "request", f"controlplane/{_name(path)}:{node.lineno}: use the dispatched route or scope"
