"""The catalogue explains every error there is."""

import inspect
from typing import get_type_hints

from ias import errors
from ias.error_catalogue import CATALOGUE, table
from ias.errors import ApiError


def made_by_the_code() -> set[str]:
    """Names of the functions of `ias.errors` that make an error."""
    functions = inspect.getmembers(errors, inspect.isfunction)
    return {name for name, function in functions if get_type_hints(function).get("return") is ApiError}


def test_every_error_that_can_be_made_is_explained() -> None:
    codes = {entry.error.code for entry in CATALOGUE} | {"invalid_request"}  # whose code is an argument
    aliases = {"rate_limited": "rate_limit_exceeded", "too_large_for_limit": "request_too_large_for_limit"}
    assert len(made_by_the_code()) > 15
    assert {aliases.get(name, name) for name in made_by_the_code()} - codes == set()


def test_entries_are_told_apart_and_in_the_order_of_their_status() -> None:
    kinds = [(entry.error.status, entry.error.type, entry.error.code) for entry in CATALOGUE]
    assert len(set(kinds)) == len(kinds)
    assert [status for status, *_ in kinds] == sorted(status for status, *_ in kinds)


def test_the_table_has_a_row_for_each() -> None:
    assert table().count("\n") == len(CATALOGUE) + 1
    assert all(row.count("|") == 5 for row in table().split("\n"))
