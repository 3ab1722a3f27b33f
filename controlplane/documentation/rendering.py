"""Markdown from the document, HTML from the Markdown: one source of every sentence and example. Pure.

The page is complete in itself: one file, no script, nothing fetched. Its policy allows its own style sheet and nothing else, and raw
HTML in Markdown is text here: whatever a name holds, it stays a name.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

from controlplane.documentation.schemas import DocumentationView
from controlplane.documentation.templates import render

Tokens = Sequence[Token]
_STYLE: Final = render("style.css")
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
"""Of the page, also inside of it: a page that was saved keeps it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the second level, for the table of contents."""

    anchor: str
    title: str


def markdown_of(document: DocumentationView) -> str:
    """Render the document as Markdown (CommonMark with tables)."""
    return re.sub(r"\n{3,}", "\n\n", render("document.md.j2", document=document))


def html_of(document: DocumentationView) -> str:
    """Render the same text as one page of HTML."""
    parser = _parser()
    tokens = parser.parse(markdown_of(document))
    sections = [Section(_anchor(title), title) for title in _titles(tokens)]
    return render(
        "page.html.j2",
        title=document.model_name,
        sections=sections,
        body=Markup(parser.renderer.render(tokens, parser.options, {})),  # noqa: S704  # the parser has escaped every text
        style=Markup(_STYLE),  # noqa: S704  # ours, and hashed as it is
        policy=CONTENT_SECURITY_POLICY,
    )


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("fence", _fence)
    return parser


def _titles(tokens: Tokens) -> list[str]:
    return [after.content for token, after in pairwise(tokens) if token.type == "heading_open" and token.tag == "h2"]


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _heading(self: RendererHTML, tokens: Tokens, index: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[index]
    if token.tag == "h2":
        token.attrSet("id", _anchor(tokens[index + 1].content))
    return self.renderToken(tokens, index, options, env)


def _table_open(*_: object) -> str:
    """A wide table scrolls by itself; by keyboard too, so it can have the focus."""
    return '<div class="wide" role="group" aria-label="Table" tabindex="0"><table>\n'


def _table_close(*_: object) -> str:
    return "</table></div>\n"


def _fence(_: RendererHTML, tokens: Tokens, index: int, *__: object) -> str:
    token = tokens[index]
    language = escape(token.info.strip() or "text")
    return f'<pre tabindex="0"><code class="language-{language}">{escape(token.content)}</code></pre>\n'
