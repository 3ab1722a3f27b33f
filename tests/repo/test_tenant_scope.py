"""Tenant scope comes from the scoped repository: who goes around it, or reaches over all tenants, is listed here with the reason."""

import ast
import importlib
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Table
from sqlalchemy.sql.selectable import Alias

from controlplane.schema import orgs
from tests.repo.test_control_plane_shape import MODULES, ROOT

BUILDERS = {"select", "update", "delete", "exists"}
AROUND = {
    "access_requests/repository.py:all": "the name of who asks, in a request within the reach",
    "audit/repository.py:_is_actor": "names of actors; the rows that it filters are within the reach",
    "backends/repository.py:in_use": "backends belong to no org: whoever uses one",
    "keys/filtering.py:_hint": "of a key within the reach",
    "keys/filtering.py:_model": "of a key within the reach",
    "keys/filtering.py:_owner": "of a key within the reach",
    "keys/repository.py:_of_this_key": "of a key within the reach",
    "keys/repository.py:_with_credentials": "the name of the owner of a key within the reach",
    "keys/repository.py:models_of": "models are offered by one org to others: what counts is whether they are offered to this one",
    "publishing/repository.py:check_address": "hostnames and paths are those of all tenants together",
    "publishing/repository.py:desired_state": "the gateway serves all tenants",
    "publishing/repository.py:detailed": "of a publication within the reach: other orgs that may use it",
    "publishing/repository.py:remove_tenants": "of a publication within the reach: other orgs that may use it",
    "publishing/repository.py:set_tenants": "of a publication within the reach: other orgs that may use it",
    "publishing/repository.py:tenant_ids": "of a publication within the reach: other orgs that may use it",
    "publishing/repository.py:usage_of": "of publications within the reach, whoever used them",
    "quota_requests/repository.py:all": "the name of who asks, in a request within the reach",
}
"""Functions that build a statement on rows of tenants by themselves. A new one needs a reason that holds for every caller."""
EVERYWHERE = {
    "accounts/service.py": "user names are unique in the service; the first System Admin; an org's service identity",
    "approvals/service.py": "backends belong to no org",
    "audit/sealing.py": "the chain goes over all rows",
    "authorization.py": "the reach of a System Admin",
    "backends/probing.py": "backends belong to no org",
    "budgets/keeper.py": "the worker keeps all budgets",
    "budgets/reconcile.py": "a command of the operator",
    "catalog/service.py": "backends belong to no org, nor do their models",
    "documentation/repository.py": "a model is offered by one org to others; the condition is that it is offered to this one",
    "invites/service.py": "who accepts has no account yet: the secret of the invite says which org",
    "keys/validation.py": "the key itself says which org",
    "orgs/upkeep.py": "orgs whose time is over",
    "kubernetes/app.py": "the cluster speaks of all publications",
    "kubernetes/desired_state.py": "what the gateway serves is everybody's; a command of the operator's",
    "publishing/reconciler.py": "the gateway serves all tenants",
    "publishing/undoing.py": "of the publication that is taken back, by its id, for the process or for one that died",
    "reconciliation/service.py": "engines serve all tenants",
    "registry/repository.py": "prices belong to no org",
    "security_events/consumer.py": "the worker writes those of all tenants",
    "sign_in/password_service.py": "the own account, by the id of the principal",
    "sign_in/reset_service.py": "who has forgotten a password has no session: the secret of the mail says whose",
    "sign_in/router.py": "the own sessions, by the id of the principal",
    "sign_in/service.py": "who signs in has no org yet",
    "sign_in/upkeep.py": "what is over, of all",
}
"""Files that reach over all tenants. A handler of a request belongs here only where the request itself has proved whose it is."""

REACHES = {
    "access_requests/service.py": "the org of the principal: its models, seen by who asks",
    "keys/service.py": "the key's own org, which its caller has checked",
    "orgs/service.py": "an org that begins or ends, by its own id",
    "usage/analytics_sql.py": "of parameters, whose values are those of the reach of the repository",
    "usage/repository.py": "narrows to the org of the reach: names of people whose usage is seen",
    "usage/router.py": "narrows to the principal",
}
"""Files beside `authorization.py` that make a reach of their own."""


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every node with the name of the function, or of the class, that it stands in."""

    def walk(node: ast.AST, inside: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            within = child.name if named else inside  # type: ignore[attr-defined]
            yield within, child
            yield from walk(child, within)

    return walk(tree, "(module)")


def _is_of_a_tenant(value: object) -> bool:
    table = value.element if isinstance(value, Alias) else value
    return isinstance(table, Table) and ("org_id" in table.c or table is orgs)


def bypasses(path: Path) -> set[str]:
    """Functions that build a statement on rows of tenants without `visible`, `update` or `delete` of the repository."""
    tree = ast.parse(path.read_text())
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    module = importlib.import_module(".".join(("controlplane", *path.relative_to(ROOT).with_suffix("").parts)))
    found = set()
    for function, node in _functions(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BUILDERS:
            chain: ast.AST = node
            while (
                isinstance(parents[chain], ast.Attribute | ast.Call)
                and getattr(parents[chain], "value", getattr(parents[chain], "func", None)) is chain
            ):
                chain = parents[chain]
            names = {name.id for name in ast.walk(chain) if isinstance(name, ast.Name)}
            if any(_is_of_a_tenant(getattr(module, name, None)) for name in names):
                found.add(f"{_name(path)}:{function}")
    return found


def reaches_everything(path: Path) -> set[str]:
    """Functions that reach over all tenants."""
    return {
        f"{_name(path)}:{function}"
        for function, node in _functions(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and node.id == "EVERYTHING" and isinstance(node.ctx, ast.Load)
    }


def repositories_without_reach(path: Path) -> list[str]:
    """Classes of a repository that are not made for a reach."""
    classes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    return [node.name for node in classes if "Repository" not in {base.id for base in node.bases if isinstance(base, ast.Name)}]


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_statements_on_rows_of_tenants_are_made_by_the_scoped_repository(path: Path) -> None:
    found = bypasses(path) - set(AROUND)
    assert not found, f"{found}: begin with self.visible(table), self.update(table) or self.delete(table), which know the reach"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_who_reaches_over_all_tenants_is_known(path: Path) -> None:
    found = reaches_everything(path)
    assert not found or _name(path) in EVERYWHERE, f"{found}: take the reach of the access; it is all for a System Admin, too"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "repository.py" and path.parent != ROOT], ids=_name)
def test_a_repository_is_made_for_a_reach(path: Path) -> None:
    assert repositories_without_reach(path) == []


def test_nobody_makes_a_reach_but_authorization() -> None:
    made = {_name(path) for path in MODULES for _, node in _functions(ast.parse(path.read_text())) if _calls_reach(node)}
    assert made == {"authorization.py", "repository.py", *REACHES}, "take the reach of the access, or narrow it with `reach.within(org_id)`"


def _calls_reach(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reach"


def test_the_lists_hold_nothing_that_is_gone() -> None:
    around = {one for path in MODULES for one in bypasses(path)}
    everywhere = {_name(path) for path in MODULES if reaches_everything(path)}
    assert (set(AROUND) - around, set(EVERYWHERE) - everywhere) == (set(), set())


def test_the_check_sees_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
from sqlalchemy import func, select, update
from controlplane.repository import EVERYTHING
from controlplane.schema import keys, orgs
_alias = keys.alias()
def a(): return select(keys.c.id).where(keys.c.id == 1)
def b(): return select(func.count()).select_from(orgs)
def c(): return update(_alias).values(x=1)
def d(): return EVERYTHING
class Mine: ...
"""
    (folder := tmp_path / "domain").mkdir()
    (module := folder / "repository.py").write_text(source)
    loaded = types.ModuleType("loaded")
    exec(source, vars(loaded))
    monkeypatch.setattr("tests.repo.test_tenant_scope.ROOT", tmp_path)
    monkeypatch.setattr(importlib, "import_module", lambda _: loaded)
    assert bypasses(module) == {f"domain/repository.py:{name}" for name in "abc"}
    assert reaches_everything(module) == {"domain/repository.py:d"}
    assert repositories_without_reach(module) == ["Mine"]
