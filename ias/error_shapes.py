"""Which shape an error has on which path: told by the request target alone, so that every layer tells the same.

One path is both protocols': `GET /v1/models/{name}` is OpenAI's object of a model and KServe v1's readiness of one. There it takes
to know that the model is a traditional one, and that whoever asks may know it.
"""

import re
from enum import Enum
from typing import Final


class Shape(Enum):
    """How the clients of a path read errors."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    KSERVE = "kserve"


SHAPED_TARGETS: Final = {
    Shape.ANTHROPIC: r"(/v1/messages[^?]*|[^?]*/messages)(\?.*)?",
    Shape.KSERVE: r"(/v2(/[^?]*)?|/v1/models/[^?/]+:(predict|explain)|[^?]*/(predict|explain|infer))(\?.*)?",
}
"""Whole request targets, path and query, on which errors have another shape than OpenAI's. Envoy matches the same expressions (RE2)."""

TRADITIONAL_TARGETS: Final = {**SHAPED_TARGETS, Shape.KSERVE: rf"(/v1/models/[^?/]+(\?.*)?|{SHAPED_TARGETS[Shape.KSERVE]})"}
"""The same for a request to a traditional model. What extauth has let pass to `/v1/models/{name}` is one: OpenAI's object it answers itself."""

_SHAPES: Final = tuple((re.compile(pattern, re.DOTALL), shape) for shape, pattern in SHAPED_TARGETS.items())
_TRADITIONAL: Final = tuple((re.compile(pattern, re.DOTALL), shape) for shape, pattern in TRADITIONAL_TARGETS.items())


def shape_of(target: str, *, traditional: bool = False) -> Shape:
    """Return the shape of errors on a request target; `traditional`: the model is, and the client may know it."""
    return next((shape for pattern, shape in (_TRADITIONAL if traditional else _SHAPES) if pattern.fullmatch(target)), Shape.OPENAI)
