"""Tags of a request: names and values that end in its usage event, where cost is told apart by them.

They come from two sides: the client sends `x-request-tags`, and the key has labels. Both have the same form.
"""

import re
from collections.abc import Mapping

MAX_PAIRS = 8
"""Of each side: a usage event has at most twice as many."""

NAME = r"[A-Za-z0-9_.:/-]{1,64}"
VALUE = r"[!-+\--~ ]{1,64}"
"""Printable ASCII without the comma, so that a header can carry it and the context stays small."""

_PAIR = re.compile(rf"({NAME})=({VALUE})")


def parse_pair(text: str) -> tuple[str, str] | None:
    """Return name and value of `name=value`; None for anything else."""
    match = _PAIR.fullmatch(text)
    return (match[1], match[2]) if match else None


def merged(of_request: Mapping[str, str], of_key: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a usage event. The key's labels win: whoever pays by them must not depend on what a client sends."""
    return {**of_request, **of_key}
