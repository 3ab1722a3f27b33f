"""What a request may ask the simulator to do, in the header `x-engine-simulate: name=value,name`. Pure."""

from dataclasses import dataclass

HEADER = "x-engine-simulate"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one request is answered. A chunk is one SSE event, the one with the role included; `None` means: does not happen."""

    tokens: int = 16
    """Natural length of each choice; a cap in the request can only shorten it."""
    pace_ms: int = 20
    """Pause before each token."""
    status: int = 200
    """Answer with this error instead of generating."""
    slow_headers_ms: int = 0
    """Pause before the response headers."""
    stall_before: bool = False
    """Take the request and never answer."""
    reset_after: int | None = None
    """Reset the connection after so many chunks; 0: before the response headers."""
    stall_after: int | None = None
    """Fall silent after so many chunks, until the client goes."""


def parse(header: str, default: Behaviour) -> Behaviour:
    """Read the header over the defaults; raise ValueError that says which part is wrong."""
    values: dict[str, int | bool | None] = {name: getattr(default, name) for name in Behaviour.__slots__}
    for part in filter(None, (part.strip() for part in header.split(","))):
        name, _, value = part.partition("=")
        if name not in values:
            raise ValueError(f"{HEADER}: unknown option '{name}'; there are {', '.join(values)}")
        if name == "stall_before":
            values[name] = value in {"", "1", "true"}
        elif value.isdecimal() and len(value) <= 9:
            values[name] = int(value)
        else:
            raise ValueError(f"{HEADER}: '{name}' needs a whole number, not '{value}'")
    behaviour = Behaviour(**values)  # type: ignore[arg-type]  # the loop above keeps each field's type
    if behaviour.status != 200 and not 400 <= behaviour.status <= 599:
        raise ValueError(f"{HEADER}: 'status' is 200 or an error from 400 to 599")
    return behaviour
