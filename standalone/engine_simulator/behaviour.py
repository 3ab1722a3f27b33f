"""What a request may ask the simulator to do, in the header `x-engine-simulate: name=value,name`. Pure."""

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

HEADER = "x-engine-simulate"

Reports = Literal["asked", "never", "forced", "continuous"]
Coding = Literal["identity", "gzip", "deflate", "br", "zstd"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one request is answered. An event is one SSE event, the one with the role included; `None` means: does not happen."""

    # what is generated
    tokens: int = 16
    """Natural length of each choice; a cap in the request can only shorten it."""
    pace_ms: int = 20
    """Pause before each token."""
    per_chunk: int = 1
    """Tokens that come together in one event, as from an engine that speculates."""
    cached: int = 0
    """So many tokens of the prompt, at most all, are reported as cached."""
    reasoning: int = 0
    """So many tokens of each choice, at most all, are reasoning."""
    usage: Reports = "asked"
    """`asked`: as vLLM does; `never`; `forced`: at the end of every stream (`--enable-force-include-usage`); `continuous`: in every event."""
    # how it travels
    encoding: Coding = "identity"
    """Content coding of the answer, whatever the client accepts."""
    split: int = 0
    """Send the body in pieces of so many bytes; 0: each event whole."""
    split_ms: int = 0
    """Pause after each piece, so that it travels alone."""
    early: bool = False
    """An interim answer, 103, comes before the answer."""
    trailers: bool = False
    """The answer ends with trailers."""
    # how it fails
    status: int = 200
    """Answer with this error instead of generating."""
    slow_headers_ms: int = 0
    """Pause before the response headers."""
    stall_before: bool = False
    """Take the request and never answer."""
    reset_after: int | None = None
    """Reset the connection after so many events; 0: before the response headers."""
    reset_byte: int | None = None
    """Reset the connection after so many bytes of the body."""
    stall_after: int | None = None
    """Fall silent after so many events, until the client goes."""
    error_after: int | None = None
    """After so many events report an error inside the stream, as vLLM does, and end it."""
    overrun: int = 0
    """Tokens that are still generated when the client has gone: an engine's batch ends later."""


_TYPES: dict[str, Any] = {field.name: field.type for field in fields(Behaviour)}


def parse(header: str, default: Behaviour) -> Behaviour:
    """Read the header over the defaults; raise ValueError that says which part is wrong."""
    values: dict[str, Any] = {name: getattr(default, name) for name in _TYPES}
    for part in filter(None, (part.strip() for part in header.split(","))):
        name, _, value = part.partition("=")
        if name not in values:
            raise ValueError(f"{HEADER}: unknown option '{name}'; there are {', '.join(values)}")
        values[name] = _read(name, value)
    behaviour = Behaviour(**values)
    if behaviour.status != 200 and not 400 <= behaviour.status <= 599:
        raise ValueError(f"{HEADER}: 'status' is 200 or an error from 400 to 599")
    if behaviour.per_chunk < 1:
        raise ValueError(f"{HEADER}: 'per_chunk' is at least 1")
    return behaviour


def _read(name: str, value: str) -> int | bool | str:
    kind = _TYPES[name]
    if kind is bool:
        return value in {"", "1", "true"}
    if choices := get_args(kind) if kind in {Reports, Coding} else ():
        if value not in choices:
            raise ValueError(f"{HEADER}: '{name}' is one of {', '.join(choices)}, not '{value}'")
        return value
    if not value.isdecimal() or len(value) > 9:
        raise ValueError(f"{HEADER}: '{name}' needs a whole number, not '{value}'")
    return int(value)
