"""Writes the table of docs/errors.md from the catalogue of errors: `make docs`."""

import sys
from pathlib import Path

from ias.error_catalogue import table

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"
_HEAD = "| status | type / code |"


def render() -> str:
    """Return the page with the table as the catalogue has it."""
    lines = PAGE.read_text().split("\n")
    first = next(number for number, line in enumerate(lines) if line.startswith(_HEAD))
    last = next(number for number in range(first, len(lines)) if not lines[number].startswith("|"))
    return "\n".join([*lines[:first], *table().split("\n"), *lines[last:]])


if __name__ == "__main__":
    PAGE.write_text(render())
    print(f"wrote {PAGE.name}", file=sys.stderr)
