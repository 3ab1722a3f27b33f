"""Writes the tables of charts/ias/README.md from the chart's values and their schema: `make docs`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[1] / "charts" / "ias"
PAGE = CHART / "README.md"
_HEADS = {"## Values\n": "values", "## What every workload takes\n": "workload"}
_EVERYWHERE = "workload"
"""The part of the schema that is told once, and not again for each workload."""

Schema = dict[str, Any]
Row = tuple[str, object, str]
"""Path, default, meaning."""


def render() -> str:
    """Return the page with both tables as the schema has them."""
    sections = {"values": "\n".join(_table(_value_rows())), "workload": "\n".join(_table(_workload_rows()))}
    page = PAGE.read_text()
    for head, name in _HEADS.items():
        before, _, after = page.partition(head)
        told, _, rest = after.partition("\n|")
        following = rest.partition("\n\n")[2]
        page = f"{before}{head}{told}\n{sections[name]}\n\n{following}".rstrip("\n") + "\n"
    return page


def described(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Each value that somebody may set, by its path; what every workload takes is left out."""
    for name, one in _properties(schema).items():
        here = f"{path}.{name}" if path else name
        whole = _resolved(one)
        if _properties(whole):
            yield from described(whole, here)
        else:
            yield here, whole


def schema() -> Schema:
    """The schema of values."""
    return json.loads((CHART / "values.schema.json").read_text())  # type: ignore[no-any-return]


def _value_rows() -> Iterator[Row]:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    for path, one in described(schema()):
        if path != "global":
            yield path, default_of(defaults, path), one.get("description", "")


def _workload_rows() -> Iterator[Row]:
    for path, one in described(schema()["$defs"][_EVERYWHERE]):
        yield path, None, one.get("description", "")


def _table(rows: Iterator[Row]) -> Iterator[str]:
    yield "| value | default | meaning |"
    yield "|---|---|---|"
    for path, default, meaning in rows:
        shown = "" if default in (None, "", [], {}) else f"`{json.dumps(default)}`" if not isinstance(default, str) else f"`{default}`"
        yield f"| `{path}` | {shown} | {meaning.replace('|', chr(92) + '|')} |"


def _properties(one: Schema) -> Schema:
    """Its own, and those of all parts that it is made of, but for what every workload takes."""
    parts = [_resolved(part) for part in one.get("allOf", ()) if part.get("$ref") != f"#/$defs/{_EVERYWHERE}"]
    return {name: value for part in (one, *parts) for name, value in part.get("properties", {}).items()}


def _resolved(one: Schema) -> Schema:
    """With what its reference says; what it says itself wins."""
    if not (reference := one.get("$ref")):
        return one
    return {**schema()["$defs"][reference.removeprefix("#/$defs/")], **one}


def default_of(values: Any, path: str) -> object:
    """What values.yaml, parsed, has at this path; None: nothing."""
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


if __name__ == "__main__":
    PAGE.write_text(render())
    print(f"wrote {PAGE.name} of the chart", file=sys.stderr)
