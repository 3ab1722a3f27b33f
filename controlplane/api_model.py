"""The JSON of the API: camelCase outside, snake_case inside; an unknown field is an error, not a typo that goes unseen."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"  # PostgreSQL takes no NUL, and nobody means the others

ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=_PRINTABLE)]
"""A name that people give: 1 to 100 characters without control characters."""


class ApiModel(BaseModel):
    """Parent of every request and answer. Answers are built from rows by `model_validate`."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True, extra="forbid")
