"""Every error of the inference API explained: when it comes and what to do. Rendered into docs/errors.md and each publication's documentation.

The errors themselves are in `ias.errors`; a test sees to it that each of them is here. Values in an entry are examples.
"""

from dataclasses import dataclass

from ias import errors
from ias.errors import ApiError

MODEL = "my-model"
"""Stands for the model of a request in the examples."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of error."""

    error: ApiError
    """As a client might get it."""
    when: str
    do: str
    varies: bool = False
    """The code tells what is wrong with the request: there are more than this one."""

    @property
    def code(self) -> str:
        """The code as a page shows it."""
        return "…" if self.varies else self.error.code


CATALOGUE = (
    Entry(
        errors.invalid_request("'model' is missing.", "model"),
        "the body is not JSON, lacks `model`, has a wrong type or a doubled member",
        "mend the request; `param` names the field",
        varies=True,
    ),
    Entry(
        errors.invalid_request("'priority' is not supported.", "priority", "unsupported_parameter"),
        "an engine extension (`priority`, `chat_template`, …); state or tools of the engine (`previous_response_id`, `background`, tools of other"
        " kinds than `function` and `custom`)",
        "leave it out",
    ),
    Entry(
        errors.invalid_request("Media must be sent as a data: URL.", "messages", "unsupported_media_url"),
        "media by an URL: the engine would fetch it from inside the network",
        "send it as a `data:` URL",
    ),
    Entry(
        errors.wrong_protocol(MODEL, f"POST /models/{MODEL}/predict"),
        "an OpenAI request to a model whose engine speaks KServe's protocols, or the other way round",
        "send what the message says",
    ),
    Entry(errors.malformed_request(), "HTTP that the edge does not take: an escaped slash in the path, a broken header", "send plain HTTP"),
    Entry(
        errors.invalid_api_key(),
        "the key is missing, malformed, unknown, revoked or expired; two different keys were sent; its user or org is disabled",
        "use an active key",
    ),
    Entry(errors.model_not_allowed(MODEL), "the org may use the model, this key may not", "use another key, or widen this one's list"),
    Entry(errors.upgrade_refused(), "a WebSocket or another upgrade", "send a plain request"),
    Entry(errors.model_not_found(MODEL), "the model is unknown, not published, or not for this org", "see `GET /v1/models`"),
    Entry(errors.unknown_url("POST", "/v1/nothing"), "the operation is not one of the gateway's", "see the paths in the documentation"),
    Entry(errors.request_timeout(), "the request did not arrive completely in 60 s", "send it again"),
    Entry(errors.request_too_large(10 * 1024 * 1024), "the body is above the limit, 10 MiB by default", "send less"),
    Entry(errors.unsupported_encoding("gzip"), "the body is compressed", "send plain JSON"),
    Entry(errors.http_version_too_old(), "HTTP/1.0", "use HTTP/1.1 or HTTP/2"),
    Entry(
        errors.rate_limited("requests", f"requestsPerMinute of the model '{MODEL}'", 12_000),
        "a limit of requests is spent, or too many run at once; the message names the limit",
        "wait `retry-after` seconds (`retry-after-ms`)",
    ),
    Entry(
        errors.rate_limited("tokens", f"tokensPerMinute of the model '{MODEL}'", 12_000),
        "a limit of tokens is spent, or what is left of a budget is held by requests that run",
        "wait `retry-after` seconds (`retry-after-ms`)",
    ),
    Entry(
        errors.too_large_for_limit("tokens", f"tokensPerMinute of the model '{MODEL}'"),
        "this request alone is more than a limit of requests or tokens: no wait helps, `x-should-retry: false`",
        "shorten it, or lower its cap of output tokens",
    ),
    Entry(
        errors.insufficient_quota("monthly token budget of the organization", 12 * 86_400_000),
        "a calendar budget of the org, user or key is spent; `x-should-retry: false`, `retry-after` tells when it begins anew",
        "wait for that, or have it raised",
    ),
    Entry(errors.headers_too_large(), "the headers are above the edge's limit", "send fewer headers"),
    Entry(errors.internal_error(), "a fault of the gateway", "report the `x-request-id`"),
    Entry(
        errors.upstream_unauthorized(),
        "the engine answered 401 or 403: it refuses the credential that the gateway shows it, not the client's key; `x-should-retry: false`",
        "tell the operator, who finds the model in the metric `ias_engine_refusals_total` and in extproc's log",
    ),
    Entry(
        errors.service_unavailable("The model"),
        "a part of the gateway or every engine of the model is unavailable; a budget cannot be checked and the org's grace is used up",
        "retry after `retry-after`",
    ),
    Entry(errors.upstream_timeout(), "the engine did not answer in time", "retry, or ask for less"),
)
"""By status."""


def table() -> str:
    """Render all of them as a table of Markdown."""
    rows = [f"| {entry.error.status} | {entry.error.type} / {entry.code} | {entry.when} | {entry.do} |" for entry in CATALOGUE]
    return "\n".join(["| status | type / code | when | what to do |", "|---|---|---|---|", *rows])
