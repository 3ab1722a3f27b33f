"""Makes the document of a publication: what is asked of it, at which address, within which limits, and what a client meets. Pure."""

from collections.abc import Collection
from typing import Final

from controlplane.documentation.examples import examples_for, limit_reached
from controlplane.documentation.schemas import (
    DocumentationView,
    DocumentedLimit,
    ErrorKind,
    HeaderView,
    Kind,
    OperationView,
    RefusalView,
)
from controlplane.publishing.schemas import PublicationView, RateLimiting
from ias.error_catalogue import CATALOGUE
from ias.errors import ApiError, insufficient_quota, rate_limited, too_large_for_limit
from ratelimit.headers import limit_headers
from ratelimit.ports import Limit, LimitState, Unit

_MEANINGS: Final = {
    "requestsPerMinute": "requests in a minute, refilled all the time",
    "requestsPerHour": "requests in an hour, refilled all the time",
    "burstLimit": "requests that may come at once",
    "tokensPerMinute": "tokens of prompts and answers in a minute",
    "tokensPerHour": "tokens of prompts and answers in an hour",
    "concurrentRequests": "requests that may run at the same time",
}
_OPERATIONS: Final[dict[Kind, tuple[tuple[str, str], ...]]] = {
    "chat": (
        ("/chat/completions", "a chat, streaming or not"),
        ("/completions", "continue a text"),
        ("/responses", "OpenAI's Responses API, without state"),
        ("/messages", "Anthropic's form of a chat"),
    ),
    "embeddings": (("/embeddings", "vectors of texts"),),
    "traditional": (("/predict", "KServe v1: instances become predictions"), ("/infer", "KServe v2: inputs become outputs")),
}
_OPENAI_ONLY: Final = frozenset({"unsupported_parameter", "unsupported_media_url"})
_BUDGET, _BUDGET_ENDS_IN_MS = 50_000_000, 3 * 86_400_000


def kind_of(model_type: str, upstream_model: str, capabilities: Collection[str] = ()) -> Kind:
    """Tell what is asked of a model by what the catalog knows of it; of an unknown one by its name, which by custom tells of embeddings."""
    if model_type == "traditional":
        return "traditional"
    words = capabilities or {upstream_model.lower()}
    return "embeddings" if "chat" not in words and any("embed" in word for word in words) else "chat"


def document_of(publication: PublicationView, kind: Kind) -> DocumentationView:
    """Make the document."""
    model, base_url = publication.model_name, publication.endpoint
    require_api_key = publication.authentication.require_api_key
    return DocumentationView(
        model_name=model,
        kind=kind,
        base_url=base_url,
        operations=[OperationView(method="POST", url=base_url + path, purpose=purpose) for path, purpose in _OPERATIONS[kind]],
        require_api_key=require_api_key,
        limits=_limits(publication.rate_limiting),
        too_many_requests=_refusals(model, publication.rate_limiting, kind),
        errors=[
            ErrorKind(status=entry.error.status, type=entry.error.type, code=entry.code, when=entry.when, what_to_do=entry.do)
            for entry in CATALOGUE
            if kind != "traditional" or entry.code not in _OPENAI_ONLY
        ],
        examples=examples_for(kind, model, base_url, require_api_key=require_api_key),
        limit_reached=limit_reached(kind, model, base_url),
    )


def _limits(limits: RateLimiting) -> list[DocumentedLimit]:
    """Those that are set, and refuse."""
    values = limits.model_dump(by_alias=True)
    return [
        DocumentedLimit(name=name, value=values[name], meaning=meaning)
        for name, meaning in _MEANINGS.items()
        if values[name] is not None and name not in limits.dry_run
    ]


def _refusals(model: str, limits: RateLimiting, kind: Kind) -> list[RefusalView]:
    """What the gateway answers when a limit of requests is spent, when a request is too large, and when a budget is spent."""
    per_minute = limits.requests_per_minute or 60
    burst = limits.burst_limit or per_minute
    requests = _headers("requests", burst, 60_000 * burst // per_minute)
    tokens = limits.tokens_per_minute or limits.tokens_per_hour or 100_000
    return [
        _refusal(
            "A limit is reached",
            "Wait as long as `retry-after` says, then send the request again. The official clients do so by themselves, twice by default.",
            rate_limited("requests", f"requestsPerMinute of the model '{model}'", 12_000, requests),
            kind,
        ),
        _refusal(
            "One request is larger than a limit",
            "No wait helps, so `x-should-retry` is `false` and clients do not try again. Send less, or ask for fewer output tokens.",
            too_large_for_limit("tokens", f"tokensPerMinute of the model '{model}'", _headers("tokens", tokens, 60_000)),
            kind,
        ),
        _refusal(
            "A budget is spent",
            "`retry-after` tells when it begins anew. `x-should-retry` is `false`: no client should wait so long. An admin can raise the budget.",
            insufficient_quota("monthly token budget of the organization", _BUDGET_ENDS_IN_MS, _headers("tokens", _BUDGET, _BUDGET_ENDS_IN_MS)),
            kind,
        ),
    ]


def _headers(unit: str, capacity: int, ms_to_full: int) -> tuple[tuple[str, str], ...]:
    """The headers of a limit with nothing left, as the gateway writes them."""
    limit = Limit("example", "example", 1, 1, capacity, Unit(unit))
    return tuple(limit_headers([LimitState(limit, free=0, ms_to_full=ms_to_full, retry_ms=1)]))


def _refusal(title: str, advice: str, error: ApiError, kind: Kind) -> RefusalView:
    headers = [HeaderView(name=name, value=value) for name, value in (("content-type", "application/json"), *error.headers)]
    body = error.kserve_body() if kind == "traditional" else error.openai_body()
    return RefusalView(title=title, advice=advice, status=error.status, headers=headers, body=body.decode())
