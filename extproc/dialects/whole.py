"""Answers that come as one JSON object: all endpoints name their usage alike there."""

import json
from typing import Any

import msgspec

from extproc.dialects.reading import UNREADABLE, Reading, Usage

TAIL_BYTES = 64 * 1024
"""How much of the end of an oversized JSON answer is kept to find its usage object in."""


class _Whole(msgspec.Struct):
    usage: Usage | None = None


_whole = msgspec.json.Decoder(_Whole)


def read_whole(body: bytes) -> Reading | None:
    """Read a complete JSON answer; None if it is not JSON (or not all of it)."""
    seen = Reading(done=True)
    try:
        usage = _whole.decode(body).usage
    except msgspec.ValidationError:
        return seen
    except UNREADABLE:
        return None
    if usage is not None:
        usage.into(seen)
    return seen


def read_tail(tail: bytes) -> Reading:
    """Read the usage object from the last `TAIL_BYTES` of an answer that was too large to keep.

    `"usage"` with both quotes can only be a member's name: inside a string the quotes are escaped.
    """
    seen = Reading()
    position = tail.rfind(b'"usage"')
    _, colon, rest = tail[position:].partition(b":")
    if position >= 0 and colon:
        try:
            value: Any = json.JSONDecoder().raw_decode(rest.decode(errors="replace").lstrip())[0]
            msgspec.convert(value, Usage).into(seen)
        except UNREADABLE:
            pass
    return seen
