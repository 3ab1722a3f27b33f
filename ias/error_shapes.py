"""Which shape an error has on which path: told by the request target alone, so that every layer tells the same."""

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

_SHAPES: Final = tuple((re.compile(pattern, re.DOTALL), shape) for shape, pattern in SHAPED_TARGETS.items())


def shape_of(target: str) -> Shape:
    """Return the shape of errors on a request target."""
    return next((shape for pattern, shape in _SHAPES if pattern.fullmatch(target)), Shape.OPENAI)
