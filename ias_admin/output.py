"""What commands print: data on stdout as a table, JSON, YAML or CSV; talk on stderr."""

import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

import typer
import yaml
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ias import csv_cells
from ias_admin import manners

_WORD_BEGINS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[a-zA-Z])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PIPE_WIDTH = 10_000


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


def say(message: str) -> None:
    """Talk to the person at the terminal, unless that one wants it quiet."""
    if not manners.current().quiet:
        complain(message)


def complain(message: str) -> None:
    """Say what went wrong, always."""
    typer.echo(_printable(message, keep="\n"), err=True)


def tell(text: str) -> None:
    """Print text for people to stdout: nothing in it may steer the terminal."""
    typer.echo(_printable(text, keep="\n"))


def print_raw(document: str) -> None:
    """Print a document as it came, for a file or another program."""
    typer.echo(document, nl=False)


def print_list(items: Sequence[dict[str, Any]], columns: Sequence[str], output: Format) -> None:
    """Print a list; a column is the dotted path of a field."""
    if output is Format.CSV:
        _print_csv(items, columns)
        return
    if output is not Format.TABLE:
        print_document(list(items), output)
        return
    _print_table([[_cell(_field(item, column)) for column in columns] for item in items], [_title(column) for column in columns])


def print_object(value: dict[str, Any], output: Format) -> None:
    """Print one object: a line for each field, and a table for each list of objects in it. CSV has no place for such lists."""
    if output is Format.CSV:
        flat = dict(_fields(value))
        _print_csv([flat], list(flat))
        return
    if output is not Format.TABLE:
        print_document(value, output)
        return
    _print_table([[_title(name), _cell(field)] for name, field in _fields(value)])
    for name, rows in value.items():
        if _is_table(rows):
            typer.echo(f"\n{_title(name)}")
            print_list(rows, list(rows[0]), output)


def print_secret(value: dict[str, Any], secret: str, output: Format) -> None:
    """Print something that holds a secret for this once: as a table the secret is alone on stdout, for a pipe, and the rest is talk."""
    if output is Format.TABLE:
        say("\n".join(f"{_title(name)}: {_cell(field)}" for name, field in _fields(value) if name != secret))
        typer.echo(value[secret])
    else:
        print_object(value, output)
    say("Keep the key now: it is not shown again.")


def print_document(value: Any, output: Format = Format.JSON) -> None:
    """Print anything as JSON or YAML."""
    if output is Format.JSON:
        typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        typer.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)


def _print_csv(items: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(item.get(column, _field(item, column))) for column in columns] for item in items)


def _csv_cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return csv_cells.cell(value)
    return csv_cells.cell("" if value in (None, [], {}) else _cell(value))


def _print_table(rows: Sequence[Sequence[str]], titles: Sequence[str] = ()) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH  # grep and awk want whole lines
    table = Table(*titles, box=box.SIMPLE_HEAD if titles else None, show_header=bool(titles), pad_edge=False, show_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _fields(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in value.items():
        if isinstance(field, dict) and field:
            yield from _fields(field, f"{prefix}{name}.")
        elif not _is_table(field):
            yield prefix + name, field


def _is_table(field: Any) -> bool:
    return isinstance(field, list) and bool(field) and all(isinstance(row, dict) for row in field)


def _field(item: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        item = item.get(name) if isinstance(item, dict) else None
    return item


def _title(dotted: str) -> str:
    return " ".join(_WORD_BEGINS.sub(" ", name) for name in dotted.split(".")).lower()


def _cell(value: Any) -> str:
    match value:
        case None | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"  # for people; JSON, YAML and CSV have all of it
        case list():
            return ", ".join(_cell(one) for one in value)
        case dict():  # `{}` as a pattern would match every mapping
            return json.dumps(value, ensure_ascii=False) if value else "-"
    return _printable(str(value))


def _printable(text: str, keep: str = "") -> str:
    """Names come from strangers: nothing in them may steer the terminal."""
    return _CONTROL.sub(lambda match: match[0] if match[0] in keep else "�", text)
