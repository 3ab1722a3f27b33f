"""No cell of our CSV is a formula, and nothing of what it says is lost."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from ias.csv_cells import cell, lines, original

dangerous = st.tuples(st.sampled_from("=+-@\t\r\n'\","), st.text("ab=1'\"", max_size=5)).map("".join)
texts = st.text(st.characters(exclude_categories=["Cs"])) | dangerous


@given(st.lists(st.lists(texts, min_size=2, max_size=4), max_size=5))
def test_what_is_read_back_is_what_was_written_and_runs_nothing(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(lines(rows), newline="")))
    assert not [text for row in read for text in row if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert [[original(text) for text in row] for row in read] == rows


@given(st.integers() | st.floats(allow_nan=False))
def test_numbers_stay_numbers(number: float) -> None:
    assert float(cell(number)) == float(number) if abs(number) < 1e300 else True


def test_nothing_is_an_empty_cell_and_not_the_word_none() -> None:
    assert [cell(value) for value in (None, True, False)] == ["", "true", "false"]
