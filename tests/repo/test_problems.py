"""Every error code in the source is in the catalogue with its status, and nothing else is."""

import ast
from collections.abc import Iterator
from pathlib import Path

from controlplane.problems import CATALOGUE

ROOT = Path(__file__).parents[2] / "controlplane"
FRAMEWORK = {("unknown_url", 404), ("method_not_allowed", 405)}
"""Made in `controlplane.errors.on_framework_error` from a status."""


def raised() -> Iterator[tuple[str, int, str]]:
    """Code, status and place of each `Problem(…)` and `not_found(…)`."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            place = f"{path.relative_to(ROOT.parent)}:{node.lineno}"
            match node:
                case ast.Call(
                    func=ast.Name("Problem") | ast.Attribute(attr="Problem"), args=[ast.Constant(int(status)), ast.Constant(str(code)), *_]
                ):
                    yield code, status, place
                case ast.Call(func=ast.Name("not_found") | ast.Attribute(attr="not_found"), args=[ast.Constant(str(what))]):
                    yield f"{what.replace(' ', '_')}_not_found", 404, place


def test_every_code_that_is_raised_is_in_the_catalogue() -> None:
    unknown = [f"{place}: {status} {code}" for code, status, place in raised() if code not in CATALOGUE or status not in CATALOGUE[code].statuses]
    assert not unknown, f"controlplane/problems.py must explain: {unknown}"


def test_the_catalogue_has_no_code_and_no_status_that_nobody_raises() -> None:
    known = {(code, status) for code, status, _ in raised()} | FRAMEWORK
    assert {(entry.code, status) for entry in CATALOGUE.values() for status in entry.statuses} == known


def test_no_code_is_computed() -> None:
    """Only `controlplane.errors` may: what is not written down as a constant, no check can find."""
    for path in sorted(ROOT.rglob("*.py")):
        if path.name in {"errors.py", "openapi.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
                assert all(isinstance(argument, ast.Constant) for argument in node.args[:2]), f"{path}:{node.lineno}"
