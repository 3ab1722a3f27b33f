"""The header by which a test tells the simulator how to fail."""

import pytest

from standalone.engine_simulator.behaviour import Behaviour, parse

DEFAULT = Behaviour(tokens=16, pace_ms=20)


def test_without_a_header_the_defaults_hold() -> None:
    assert parse("", DEFAULT) == DEFAULT


def test_options_change_only_what_they_name() -> None:
    assert parse("tokens=40, pace_ms=5,reset_after=0", DEFAULT) == Behaviour(tokens=40, pace_ms=5, reset_after=0)


@pytest.mark.parametrize("text", ["stall_before", "stall_before=1", "stall_before=true"])
def test_stall_before_needs_no_value(text: str) -> None:
    assert parse(text, DEFAULT).stall_before


def test_words_and_flags_are_read_too() -> None:
    assert parse("usage=forced,encoding=br,trailers,early=1", DEFAULT) == Behaviour(usage="forced", encoding="br", trailers=True, early=True)


@pytest.mark.parametrize(
    "text",
    ["token=4", "tokens", "tokens=-1", "tokens=x", "status=200x", "status=302", "pace_ms=9999999999", "usage=maybe", "encoding=lz4", "per_chunk=0"],
)
def test_a_mistake_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="x-engine-simulate"):
        parse(text, DEFAULT)
