"""API keys: the format, and that nothing but the text itself tells the secret."""

import re

import pytest

from ias.apikeys import MAX_LENGTH, new_key, parse_key

KEY = "ias_live_0Aa1Bb2C" + "7" * 43 + "3DOqyf"
PEPPER = b"p" * 32


def test_the_format() -> None:
    key = new_key()
    assert re.fullmatch(r"ias_live_[0-9A-Za-z]{8}[0-9A-Za-z]{43}[0-9A-Za-z]{6}", key.text)
    assert key.text[9:17] == key.credential_id
    assert parse_key(key.text) == key


def test_a_key_that_was_given_out_stays_valid() -> None:
    """The format is a contract with every key out there: this one was made by hand, once."""
    key = parse_key(KEY)
    assert key is not None
    assert (key.env, key.credential_id) == ("live", "0Aa1Bb2C")
    assert key.digest(PEPPER).hex() == "9c8bf90a82ab5b11cc77e976f3e0c1daa8163c04591df99b96991252a4821b2b"


def test_keys_differ() -> None:
    assert len({new_key().text for _ in range(1000)}) == 1000


def test_hint_and_repr_hide_the_secret() -> None:
    key = new_key("test")
    assert key.hint == f"ias_test_{key.credential_id}…"
    assert key.text[17:] not in key.hint + repr(key) + str(key)


def test_the_digest_depends_on_the_pepper_and_tells_keys_apart() -> None:
    key, other = new_key(), new_key()
    assert key.matches(key.digest(PEPPER), PEPPER)
    assert not key.matches(key.digest(PEPPER), b"q" * 32)
    assert not other.matches(key.digest(PEPPER), PEPPER)
    assert len(key.digest(PEPPER)) == 32


@pytest.mark.parametrize("env", ["", "LIVE", "toolongenv", "a b", "a_b", "ä", "live\n"])
def test_an_environment_that_would_break_the_format_is_refused(env: str) -> None:
    with pytest.raises(ValueError, match="1 to 8 lower-case letters"):
        new_key(env)


@pytest.mark.parametrize(
    "text",
    ["", "ias_live_", "sk-abc", KEY[:-1], KEY + "0", KEY + "\n", " " + KEY, KEY.replace("live", "Live"), KEY[:-1] + "L", "x" * (MAX_LENGTH + 1)],
    ids=["empty", "prefix", "foreign", "short", "long", "newline", "space", "case", "checksum", "huge"],
)
def test_anything_else_is_no_key(text: str) -> None:
    assert parse_key(text) is None
