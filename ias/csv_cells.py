"""CSV that no spreadsheet runs: text that one would take for a formula begins with an apostrophe instead. Pure.

OWASP, "CSV Injection". A cell that began with an apostrophe gets a second one, so that `original` gives back exactly what was there.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")  # noqa: RUF001  # spreadsheets read the full-width forms too


def cell(value: object) -> str:
    """Return a value as text; numbers stay numbers, nothing is an empty cell."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = str(value)
    return f"'{text}" if text.startswith(_STARTS) else text


def original(text: str) -> str:
    """Return the text that a cell was made of."""
    return text.removeprefix("'")


def lines(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV (RFC 4180)."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows([cell(value) for value in row] for row in rows)
    return written.getvalue()
