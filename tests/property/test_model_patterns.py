"""Patterns of model names, beside the standard library's."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from ias.model_patterns import matches

TEXT = st.text("ab-*", max_size=8)
NAME = st.text("ab-", max_size=10)


@given(NAME, TEXT)
@example("gpt-4o", "gpt-*")
@example("", "**")
def test_a_star_stands_for_any_characters_and_the_rest_for_itself(model: str, pattern: str) -> None:
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    assert matches(model, pattern) == (re.fullmatch(expression, model) is not None)


@given(st.lists(NAME, min_size=1, max_size=5))
def test_a_pattern_names_every_model_that_it_was_made_from(pieces: list[str]) -> None:
    assert matches("".join(pieces), "*".join(pieces))
    assert matches("x".join(pieces), "*".join(pieces))
