"""The JSON of the API: camelCase outside, snake_case inside; an unknown field is an error, not a typo that goes unseen."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

BLANK = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
r"""Control characters and spaces, for a class of a pattern: what `\s` is differs between dialects of regular expressions."""
# PostgreSQL takes no NUL, and nobody means the others; one of the characters is no space.
_PRINTABLE = rf"^[^\x00-\x1f\x7f]*[^{BLANK}][^\x00-\x1f\x7f]*$"

ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=_PRINTABLE)]
"""A name that people give: 1 to 100 characters without control characters."""


class ApiModel(BaseModel):
    """Parent of every request and answer. Answers are built from rows by `model_validate`."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any) -> Any:
        """To JSON Schema 3.0 is an integer (draft 2020-12, validation §6.1.1), to strict pydantic it is none."""
        return {name: _whole(one) for name, one in value.items()} if isinstance(value, dict) else value


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
