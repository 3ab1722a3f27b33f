"""The templates of documents. Values are written by what stands around them: in code as its literals, in HTML escaped."""

import json
import shlex
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


def _literal(value: object) -> str:
    """A string, list or map of JSON, which is also one of Python and of JavaScript."""
    return json.dumps(value)


def _code(text: object) -> str:
    """Code inside a line of Markdown: between more backticks than it holds, in one line, and not the end of a table's cell."""
    line = " ".join(str(text).split()).replace("|", "\\|")
    fence = "`"
    while fence in line:
        fence += "`"
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.j2"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"literal": _literal, "shell": lambda text: shlex.quote(str(text)), "code": _code}
    return environment


_ENVIRONMENT: Final = _environment()


def render(name: str, **values: object) -> str:
    """Render a template of this folder."""
    return _ENVIRONMENT.get_template(name).render(**values)
