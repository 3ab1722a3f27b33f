import random

import pytest

from extauth import live_credentials
from extauth.live_credentials import LiveCredentials, TooManyCredentials


def loaded(*ids: str, capacity: int = 100_000) -> LiveCredentials:
    live = LiveCredentials(capacity)
    live.load(ids)
    return live


def test_knows_what_it_was_loaded_with() -> None:
    live = loaded("AAAAAAAA", "BBBBBBBB", "zzzzzzzz")
    assert "BBBBBBBB" in live
    assert "BBBBBBBC" not in live
    assert len(live) == 3


def test_add_and_discard_are_idempotent() -> None:
    live = loaded("BBBBBBBB")
    for step, size in ((live.add, 2), (live.add, 2), (live.discard, 1), (live.discard, 1)):
        step("AAAAAAAA")
        assert len(live) == size
        assert ("AAAAAAAA" in live) == (size == 2)


def test_a_loaded_id_goes_and_comes_back() -> None:
    live = loaded("BBBBBBBB")
    live.discard("BBBBBBBB")
    assert "BBBBBBBB" not in live
    live.add("BBBBBBBB")
    assert "BBBBBBBB" in live
    assert len(live) == 1


def test_portions_must_be_in_order() -> None:
    live = loaded("BBBBBBBB")
    with pytest.raises(ValueError, match="ascending"):
        live.load(["AAAAAAAA"])
    with pytest.raises(ValueError, match="ascending"):
        live.load(["CCCCCCCC", "CCCCCCCC"])


def test_it_is_bounded() -> None:
    with pytest.raises(TooManyCredentials, match="more than 1 live"):
        loaded("AAAAAAAA", "BBBBBBBB", capacity=1)
    live = loaded("AAAAAAAA", capacity=1)
    with pytest.raises(TooManyCredentials):
        live.add("BBBBBBBB")
    live.discard("AAAAAAAA")
    live.add("BBBBBBBB")


def test_ids_have_eight_characters() -> None:
    with pytest.raises(ValueError, match="8 characters"):
        assert "short" in loaded()


def test_equals_a_set_through_many_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_credentials, "_MERGE_AT", 50)
    chance = random.Random(7)
    pool = [f"{number:08d}" for number in range(300)]
    expected = set(pool[::3])
    live = loaded(*sorted(expected))
    for _ in range(5_000):
        one = chance.choice(pool)
        if chance.random() < 0.5:
            live.add(one)
            expected.add(one)
        else:
            live.discard(one)
            expected.discard(one)
        assert len(live) == len(expected)
    assert {one for one in pool if one in live} == expected
