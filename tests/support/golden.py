"""Golden files: what we render, as it is, under `tests/golden/`. `UPDATE_GOLDEN=1 pytest …` writes them anew; read the diff."""

import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"


def assert_golden(name: str, rendered: str) -> None:
    """Compare with `tests/golden/<name>`, or write it when asked to."""
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rendered)
    expected = path.read_text() if path.exists() else ""
    assert rendered == expected, f"{name} differs; if that is meant: UPDATE_GOLDEN=1"
