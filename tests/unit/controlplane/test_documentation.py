"""The document of a publication: complete, the same in Markdown and HTML, and whatever a name holds stays a name."""

import ast
import json
import shlex
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest

from controlplane.documentation.document import document_of, kind_of
from controlplane.documentation.negotiation import preferred
from controlplane.documentation.rendering import CONTENT_SECURITY_POLICY, html_of, markdown_of
from controlplane.documentation.schemas import DocumentationView, Kind
from controlplane.documentation.templates import render
from controlplane.publishing.schemas import AuthenticationView, PublicationView, RateLimiting, UsageView
from ias.error_catalogue import CATALOGUE

KINDS: list[Kind] = ["chat", "embeddings", "traditional"]
HOSTILE = """it's "a"`b`|<script>alert(1)</script>$(id)\\x"""
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def publication(**changes: Any) -> PublicationView:
    """Validated fields hold nothing hostile; here they may, since the rendering must not rely on that."""
    values: dict[str, Any] = {
        "id": UUID(int=1),
        "model_name": "llama-3-8b",
        "tenant_id": "acme",
        "model_type": "openai",
        "status": "published",
        "public_hostname": None,
        "external_path": "/v1/models/llama-3-8b",
        "endpoint": "https://api.example.com/v1",
        "rate_limiting": RateLimiting(requests_per_minute=100, burst_limit=10),
        "authentication": AuthenticationView(require_api_key=True, allowed_tenants=["acme", "secret-org"]),
        "api_key_hint": "ias_live_0a1B2c3D…",
        "usage": UsageView(),
        "version": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return PublicationView.model_construct(**{**values, **changes})


def document(kind: Kind = "chat", **changes: Any) -> DocumentationView:
    return document_of(publication(**changes), kind)


class Text(HTMLParser):
    """The text of a page by element, and every tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.codes: list[str] = []
        self._in_pre = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in {"src", "style"}]
        if tag == "pre":
            self._in_pre = True
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_pre &= tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._in_pre:
            self.codes[-1] += data


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_is_in_both_forms_as_it_is(kind: Kind) -> None:
    made = document(kind)
    markdown, codes = markdown_of(made), [code.strip() for code in Text(html_of(made)).codes]
    assert len(made.examples) >= 3
    for example in made.examples:
        assert f"```{example.language}\n{example.code}\n```" in markdown
        assert example.code in codes
        assert "IAS_API_KEY" in example.code
        assert example.prints in codes


@pytest.mark.parametrize("kind", KINDS)
def test_all_errors_that_apply_are_explained(kind: Kind) -> None:
    codes = {entry.code for entry in document(kind).errors}
    left_out = {entry.code for entry in CATALOGUE} - codes
    assert left_out == ({"unsupported_parameter", "unsupported_media_url"} if kind == "traditional" else set())


def test_limits_are_those_that_are_set_and_refuse() -> None:
    limits = RateLimiting(requests_per_minute=7, tokens_per_hour=5, concurrent_requests=3, dry_run=["tokensPerHour"])
    assert [(one.name, one.value) for one in document(rate_limiting=limits).limits] == [("requestsPerMinute", 7), ("concurrentRequests", 3)]
    assert "no limits of its own" in markdown_of(document(rate_limiting=RateLimiting()))


def test_a_refusal_is_shown_as_the_gateway_answers_it() -> None:
    spent, too_large, budget = document().too_many_requests
    assert {one.name: one.value for one in spent.headers} == {
        "content-type": "application/json",
        "retry-after": "12",
        "retry-after-ms": "12000",
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "6s",
    }
    assert json.loads(spent.body)["error"]["code"] == "rate_limit_exceeded"
    for refusal in (too_large, budget):
        assert ("x-should-retry", "false") in [(one.name, one.value) for one in refusal.headers]
    assert json.loads(document("traditional").too_many_requests[0].body).keys() == {"error"}


@pytest.mark.parametrize("limits", [RateLimiting(requests_per_minute=0, tokens_per_minute=0), RateLimiting(requests_per_minute=1_000_000)])
def test_any_limit_has_a_document(limits: RateLimiting) -> None:
    assert html_of(document(rate_limiting=limits))


def test_nothing_of_others_and_no_key_is_in_it() -> None:
    text = document().model_dump_json() + html_of(document())
    assert "secret-org" not in text
    assert "ias_live" not in text


def test_a_hostile_name_stays_a_name_in_every_language() -> None:
    made = document(model_name=HOSTILE, endpoint="https://x/v1'; id #")
    page = Text(html_of(made))
    assert "script" not in page.tags
    assert {"html", "main", "nav", "pre", "table"} <= set(page.tags)
    by_file = {example.file or example.title: example.code for example in made.examples}
    words = shlex.split(by_file["curl"])
    assert json.loads(words[words.index("-d") + 1])["model"] == HOSTILE
    assert words[3] == "https://x/v1'; id #/chat/completions"
    constants = [node.value for node in ast.walk(ast.parse(by_file["chat.py"])) if isinstance(node, ast.Constant)]
    assert HOSTILE in constants
    assert f"model: {json.dumps(HOSTILE)}," in by_file["chat.mjs"]  # a literal of JSON is one of JavaScript (ECMA-262, since 2019)


def test_a_model_without_keys_says_so() -> None:
    made = document("traditional", authentication=AuthenticationView(require_api_key=False, allowed_tenants=["acme"]))
    assert "needs no API key" in markdown_of(made)
    assert not [example for example in made.examples if "IAS_API_KEY" in example.code]


def test_a_traditional_model_is_at_its_own_path() -> None:
    made = document("traditional", endpoint="https://api.example.com/fraud/scores")
    assert [one.url for one in made.operations] == ["https://api.example.com/fraud/scores/predict", "https://api.example.com/fraud/scores/infer"]
    assert all("https://api.example.com/fraud/scores/" in example.code for example in made.examples)


def test_the_page_allows_its_own_style_only_and_can_be_read_by_all() -> None:
    page = html_of(document())
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'; style-src 'sha256-")
    assert f'content="{CONTENT_SECURITY_POLICY}"'.replace("'", "&#39;") in page
    assert '<html lang="en">' in page
    assert page.count("<h1>") == 1
    for title in ("endpoint", "authentication", "limits", "errors", "examples"):
        assert f'href="#{title}"' in page
        assert f'<h2 id="{title}">' in page


@pytest.mark.parametrize(
    ("model_type", "name", "capabilities", "kind"),
    [
        ("openai", "llama-3-8b", (), "chat"),
        ("openai", "nomic-embed-text-v1.5", (), "embeddings"),
        ("openai", "bge-m3", ("embeddings",), "embeddings"),
        ("openai", "bge-m3", ("embed", "multilingual"), "embeddings"),
        ("openai", "embed-anything", ("tools",), "chat"),
        ("openai", "embedder-with-chat", ("chat", "embeddings"), "chat"),
        ("traditional", "text-embedding", (), "traditional"),
    ],
)
def test_what_is_asked_of_a_model(model_type: str, name: str, capabilities: tuple[str, ...], kind: Kind) -> None:
    assert kind_of(model_type, name, capabilities) == kind


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("text/markdown", "md"),
        ("text/html;q=0.5, text/markdown;q=0.9", "md"),
        ("text/html;q=0, application/json;q=0.1", "json"),
        ("text/html; q=nonsense, image/png", "json"),
        ("TEXT/HTML", "html"),
    ],
)
def test_the_form_that_is_preferred(accept: str, form: str) -> None:
    assert preferred(accept) == form


def test_a_template_that_lacks_a_value_is_an_error() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render("page.html.j2", title="x")


def test_code_in_a_line_of_markdown_is_not_left() -> None:
    assert "# ```a`b``c```\n" in markdown_of(document(model_name="a`b``c"))
    assert "# `` `a ``\n" in markdown_of(document(model_name="`a"))
