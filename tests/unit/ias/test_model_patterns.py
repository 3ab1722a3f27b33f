import time

import pytest

from ias.model_patterns import is_allowed


@pytest.mark.parametrize(
    ("pattern", "model", "matches"),
    [
        ("small", "small", True),
        ("small", "smaller", False),
        ("*", "anything", True),
        ("*", "", True),
        ("s*", "small", True),
        ("s*", "xsmall", False),
        ("*l", "small", True),
        ("s*l", "small", True),
        ("s*l", "sl", True),
        ("aa*aa", "aaa", False),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c", False),
        ("a*b*b", "ab", False),
        ("a**c", "abc", True),
        ("?mall", "small", False),
        ("[s]mall", "small", False),
        ("sm.ll", "small", False),
        ("", "small", False),
    ],
)
def test_patterns(pattern: str, model: str, matches: bool) -> None:
    assert is_allowed(model, (pattern,)) is matches


def test_many_stars_are_not_slow() -> None:
    started = time.perf_counter()
    assert not is_allowed("a" * 256, ("*a" * 128 + "b",))
    assert time.perf_counter() - started < 0.1


def test_an_empty_list_names_all_models_and_one_that_fits_is_enough() -> None:
    assert is_allowed("small", ())
    assert is_allowed("small", ("gpt-*", "s*"))
    assert not is_allowed("small", ("gpt-*", "S*"))
