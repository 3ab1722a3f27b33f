"""Which form of the document an `accept` header prefers (RFC 9110 §12.5.1). Pure."""

from typing import Final, Literal

Form = Literal["json", "html", "md"]
_TYPES: Final[dict[str, Form]] = {"application/json": "json", "text/html": "html", "text/markdown": "md"}
_MOST = 20
"""Ranges that are looked at: nobody needs more."""


def preferred(accept: str) -> Form:
    """Return the form with the greatest weight, the first of equals. JSON where the header names none of ours."""
    best: Form = "json"
    weight = 0.0
    for item in accept.split(",")[:_MOST]:
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if (form := _TYPES.get(name)) is not None and (quality := _quality(parameters)) > weight:
            best, weight = form, quality
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
