"""Step 1, the operation: an allow-list. Engines have other paths (metrics, adapters, administration); no tenant reaches them.

A path names its model, or the body does. Names come first: only where no publication has the name that stands in a path is the
path looked for among the publications' own (`external_path`).
"""

from collections.abc import Iterator

import msgspec

from extauth import kserve
from extauth.publications import PublicationIndex
from ias.endpoints import Endpoint
from ias.errors import unknown_url

_MODELS = "/v1/models"
_SHOWN = 200


class Operation(msgspec.Struct, frozen=True):
    """What the client asks for; `model` is set when the path names it, `version` where KServe v2 does."""

    endpoint: Endpoint
    model: str | None = None
    version: str = ""
    in_message: bool = False
    """gRPC: the model's name stands in the message, which the engine gets as it is; empty where it cannot be read."""


_ALLOWED = {
    ("POST", "/v1/chat/completions"): Operation(Endpoint.CHAT_COMPLETIONS),
    ("POST", "/v1/completions"): Operation(Endpoint.COMPLETIONS),
    ("POST", "/v1/embeddings"): Operation(Endpoint.EMBEDDINGS),
    ("POST", "/v1/responses"): Operation(Endpoint.RESPONSES),
    ("POST", "/v1/messages"): Operation(Endpoint.MESSAGES),
    ("GET", _MODELS): Operation(Endpoint.MODELS),
}
_OPENAI_PATHS = {operation.endpoint: path for (method, path), operation in _ALLOWED.items() if method == "POST"}
_BY_SUFFIX = {path.removeprefix("/v1/"): endpoint for endpoint, path in _OPENAI_PATHS.items()} | kserve.BY_SUFFIX
"""What is asked for below a publication's own path."""


def find_operation(method: str, target: str, publications: PublicationIndex, host: str = "") -> Operation:
    """Look up a method and a request target that the edge has normalized; raise `unknown_url` for all that is not listed."""
    path = target.partition("?")[0]
    if (operation := _ALLOWED.get((method, path))) is not None:
        return operation
    named = _named(method, path)
    if named is not None and (named.model is None or publications.find(named.model, host) is not None):
        return named
    if (operation := _placed(method, path, publications, host) or named) is not None:
        return operation
    raise unknown_url(method[:_SHOWN], path[:_SHOWN])


def engine_target(operation: Operation, upstream_model: str, target: str) -> str:
    """Return the path by which the engine is asked, with the client's query."""
    if operation.model is None or operation.in_message:
        return target
    path = _OPENAI_PATHS.get(operation.endpoint) or kserve.engine_path(operation.endpoint, upstream_model, operation.version)
    _, mark, query = target.partition("?")
    return f"{path}{mark}{query}"


def _named(method: str, path: str) -> Operation | None:
    """What a path asks for that holds a model's name."""
    if method == "GET" and path.startswith(f"{_MODELS}/"):
        model = kserve.decoded(path.removeprefix(f"{_MODELS}/"))
        return Operation(Endpoint.MODELS, model) if model else None
    asked = kserve.read_path(method, path)
    return Operation(*asked) if asked is not None else None


def _placed(method: str, path: str, publications: PublicationIndex, host: str) -> Operation | None:
    """What a path asks for at or below a publication's own."""
    if method == "GET":
        published = publications.at(path, host)
        return Operation(Endpoint.MODELS, published.publication.model) if published is not None else None
    if method == "POST":
        for base, suffix in _splits(path):
            if (endpoint := _BY_SUFFIX.get(suffix)) is not None and (published := publications.at(base, host)) is not None:
                return Operation(endpoint, published.publication.model)
    return None


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """The two ways to cut a path: the longest suffix is looked for first."""
    base, _, last = path.rpartition("/")
    outer, _, before = base.rpartition("/")
    yield outer, f"{before}/{last}"
    yield base, last
