"""Step 1, the operation: an allow-list. Engines have other paths (metrics, adapters, administration); no tenant reaches them."""

from dataclasses import dataclass
from urllib.parse import unquote

from ias.endpoints import Endpoint
from ias.errors import unknown_url

_MODELS = "/v1/models"
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Operation:
    """What the client asks for; `model` is set when the path names it."""

    endpoint: Endpoint
    model: str | None = None


_ALLOWED = {
    ("POST", "/v1/chat/completions"): Operation(Endpoint.CHAT_COMPLETIONS),
    ("POST", "/v1/completions"): Operation(Endpoint.COMPLETIONS),
    ("POST", "/v1/embeddings"): Operation(Endpoint.EMBEDDINGS),
    ("POST", "/v1/responses"): Operation(Endpoint.RESPONSES),
    ("POST", "/v1/messages"): Operation(Endpoint.MESSAGES),
    ("GET", _MODELS): Operation(Endpoint.MODELS),
}


def find_operation(method: str, target: str) -> Operation:
    """Look up a method and a request target that the edge has normalized; raise `unknown_url` for all that is not listed."""
    path = target.partition("?")[0]
    if (operation := _ALLOWED.get((method, path))) is not None:
        return operation
    if method == "GET" and path.startswith(f"{_MODELS}/") and (model := _name(path)):
        return Operation(Endpoint.MODELS, model)
    raise unknown_url(method[:_SHOWN], path[:_SHOWN])


def _name(path: str) -> str:
    try:
        return unquote(path.removeprefix(f"{_MODELS}/"), errors="strict")
    except UnicodeDecodeError:
        return ""
