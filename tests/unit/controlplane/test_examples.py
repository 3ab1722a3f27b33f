"""Examples of bodies follow from their schemas."""

from typing import Annotated, Any

import pytest
from pydantic import Field, StringConstraints

from controlplane.api_model import ApiModel
from controlplane.examples import NoExample, example_of


class Inner(ApiModel):
    status: str
    count: int | None = None


class Outer(ApiModel):
    name: str
    inner: list[Inner]
    note: str | None = None
    colour: Annotated[str, StringConstraints(pattern="^#")] = Field(default="#fff", examples=["#000"])


class Odd(ApiModel):
    code: Annotated[str, StringConstraints(pattern="^[A-F]{9}$")]


def example(model: type[ApiModel], *, request: bool) -> Any:
    schema = model.model_json_schema()
    return example_of(schema, schema.get("$defs", {}), request=request)


def test_an_answer_shows_every_field_by_its_name() -> None:
    inner = [{"status": "active", "count": 1}]
    assert example(Outer, request=False) == {"name": "production-app", "inner": inner, "note": "text", "colour": "#000"}


def test_a_request_shows_what_must_be_given_and_what_has_an_example() -> None:
    assert example(Outer, request=True) == {"name": "production-app", "inner": [{"status": "active"}], "colour": "#000"}


def test_a_form_that_nobody_can_guess_needs_an_example() -> None:
    with pytest.raises(NoExample, match=r"Odd\.code: give it Field\(examples="):
        example(Odd, request=True)
