"""The list of models that a key may use: names, or patterns in which `*` stands for any characters, none included.

One rule for all who ask: extauth at each request, the control plane when it shows or searches keys. No regular expression: many stars would make one
slow, and customers choose patterns.
"""

from collections.abc import Sequence


def is_allowed(model: str, patterns: Sequence[str]) -> bool:
    """Whether a key's list names the model; an empty list names all."""
    return not patterns or any(matches(model, pattern) for pattern in patterns)


def matches(model: str, pattern: str) -> bool:
    """Whether one pattern names the model. Upper and lower case differ; nothing but `*` has a meaning of its own."""
    first, *middle = pattern.split("*")
    if not middle:
        return model == pattern
    last = middle.pop()
    if len(model) < len(first) + len(last) or not model.startswith(first) or not model.endswith(last):
        return False
    place, end = len(first), len(model) - len(last)
    for piece in middle:
        found = model.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True
