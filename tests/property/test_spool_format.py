"""The spool's file format, for any records: a cut yields a prefix, damage is found, and reading always ends."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ias.spool_format import MAGIC, Record, SpoolCorrupt, encode, read_segment
from tests.support.contexts import records

segments = st.lists(records, max_size=5)


@contextmanager
def segment(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "000000000001.spool")
        path.write_bytes(content)
        yield path


def written(some: list[Record]) -> bytes:
    return MAGIC + b"".join(map(encode, some))


@given(segments)
def test_round_trip(some: list[Record]) -> None:
    with segment(written(some)) as path:
        assert [record for record, _ in read_segment(path)] == some


@given(segments, st.floats(0, 1))
def test_a_cut_at_any_byte_yields_a_prefix(some: list[Record], share: float) -> None:
    content = written(some)
    with segment(content[: int(len(content) * share)]) as path:
        found = [record for record, _ in read_segment(path)]
    assert found == some[: len(found)]


@given(segments, st.data())
def test_reading_goes_on_from_any_offset_that_was_told(some: list[Record], data: st.DataObject) -> None:
    content = written(some)
    cut = data.draw(st.integers(0, len(content)))
    with segment(content[:cut]) as path:
        first = list(read_segment(path))
        path.write_bytes(content)
        rest = [record for record, _ in read_segment(path, first[-1][1] if first else 0)]
    assert [record for record, _ in first] + rest == some


@given(segments, st.integers(1, 300))
def test_small_reads_see_everything(some: list[Record], max_bytes: int) -> None:
    found: list[Record] = []
    offset = 0
    with segment(written(some)) as path:
        for _ in range(len(some)):
            for record, behind in read_segment(path, offset, max_bytes):
                found.append(record)
                offset = behind
    assert found == some


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_a_flipped_bit_is_corruption_and_what_was_before_it_is_read(some: list[Record], data: st.DataObject) -> None:
    content = bytearray(written(some))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    found: list[Record] = []
    with segment(bytes(content)) as path, pytest.raises(SpoolCorrupt, match=path.name):
        found.extend(record for record, _ in read_segment(path))
    assert found == some[: len(found)]
    assert len(found) < len(some)


@given(st.binary(max_size=200))
def test_any_file_ends_or_is_corrupt(content: bytes) -> None:
    for start in (b"", MAGIC):
        with segment(start + content) as path, suppress(SpoolCorrupt):
            assert len(list(read_segment(path))) <= len(content)
