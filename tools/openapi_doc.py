"""Writes docs/openapi.json, the REST API as it is; `--check` only compares."""

import json
import sys
from pathlib import Path
from typing import Any, cast

from controlplane import api

PATH = Path(__file__).parents[1] / "docs" / "openapi.json"


class _NoRuntime:
    """The document describes routes; none of them is called."""

    def __getattr__(self, _: str) -> None:
        return None


def render() -> str:
    """Return the document as text, in an order that shows a change as one."""
    return json.dumps(api.build(cast("Any", _NoRuntime())).openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the document, or compare it."""
    if "--check" in sys.argv[1:]:
        return 0 if PATH.read_text() == render() else 1
    PATH.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
