"""Keys, ids and usage events, for any content."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ias.apikeys import ALPHABET, new_key, parse_key
from ias.ids import uuid7, uuid7_ms
from ias.usage_event import RequestRecorded, decode, encode
from tests.support.contexts import events, times_ms


@given(st.text() | st.text(ALPHABET + "_-.", max_size=80).map(lambda rest: "ias_live_" + rest))
def test_any_text_is_a_key_or_none_and_never_an_error(text: str) -> None:
    key = parse_key(text)
    assert key is None or key.text == text


@given(st.from_regex("[a-z]{1,8}", fullmatch=True), st.data())
def test_one_wrong_character_makes_a_key_invalid(env: str, data: st.DataObject) -> None:
    text = new_key(env).text
    assert parse_key(text) is not None
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(ALPHABET + "_").filter(lambda char: char != text[at]))
    assert parse_key(text[:at] + other + text[at + 1 :]) is None


@given(times_ms, st.integers(0, (1 << 80) - 1))
def test_an_id_carries_its_time(ms: int, bits: int) -> None:
    made = uuid7(ms, bits)
    assert uuid7_ms(made) == ms
    assert made.version == 7


@given(times_ms, times_ms)
def test_ids_sort_by_time_as_numbers_and_as_text(one: int, other: int) -> None:
    first, second = sorted((one, other))
    if first != second:
        assert uuid7(first) < uuid7(second)
        assert str(uuid7(first)) < str(uuid7(second))


@given(events)
def test_an_event_round_trips(event: RequestRecorded) -> None:
    assert decode(encode(event)) == event


@given(events, st.dictionaries(st.text(min_size=1).map("x_".__add__), st.integers() | st.text() | st.none(), max_size=3))
def test_fields_of_a_newer_writer_are_skipped(event: RequestRecorded, more: dict[str, object]) -> None:
    assert decode(msgspec.json.encode({**msgspec.json.decode(encode(event)), **more})) == event


@given(st.binary())
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- msgspec words it, the type is the promise
        decode(data)
