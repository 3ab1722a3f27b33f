"""The simulator's arithmetic: what metering is checked against must itself be beyond doubt."""

import itertools

import pytest

from standalone.engine_simulator import tokens


def first(seed: str, n: int) -> list[str]:
    return list(itertools.islice(tokens.words(seed), n))


def test_the_same_prompt_gives_the_same_words_and_another_prompt_others() -> None:
    assert first("a", 50) == first("a", 50)
    assert len({tuple(first(str(n), 5)) for n in range(30)}) > 5


def test_words_join_to_a_text_with_one_word_for_each_token() -> None:
    text = "".join(first("x", 100))
    assert len(text.split(" ")) == 100
    assert tokens.text_tokens(text) == 100


def test_pieces_are_the_words_cut_between_reasoning_and_answer() -> None:
    cut = list(tokens.pieces("x", 8, "length", reasoning=3, per_chunk=2))
    assert [(piece.tokens, piece.generated, piece.thought) for piece in cut] == [
        (2, 2, True),
        (1, 3, True),
        (2, 5, False),
        (2, 7, False),
        (1, 8, False),
    ]
    assert [piece.finish for piece in cut] == [None] * 4 + ["length"]
    assert "".join(piece.text for piece in cut) == "".join(first("x", 8))


def test_a_chat_prompt_is_its_words_and_its_template() -> None:
    chat = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "one two three"}, {"type": "image_url"}]},
    ]
    assert tokens.chat_prompt_tokens(chat) == 2 + 3 + 2 * tokens.MESSAGE_TOKENS


def test_a_message_without_text_still_has_a_token() -> None:
    assert tokens.chat_prompt_tokens([{"role": "assistant", "content": None}]) == 1 + tokens.MESSAGE_TOKENS


@pytest.mark.parametrize(
    ("prompt", "sizes"),
    [("one two", [2]), (["one", "one two"], [1, 2]), ([5, 6, 7], [3]), ([[1], [1, 2]], [1, 2]), ("", [1])],
    ids=["text", "texts", "token ids", "lists of token ids", "empty"],
)
def test_every_form_of_a_prompt(prompt: object, sizes: list[int]) -> None:
    assert tokens.prompts_of(prompt) == sizes


@pytest.mark.parametrize("prompt", [None, 5, [], [[]], [True], ["a", 1], [[1], "a"], {}], ids=repr)
def test_what_is_no_prompt_is_refused(prompt: object) -> None:
    with pytest.raises(ValueError, match="expected a text"):
        tokens.prompts_of(prompt)


@pytest.mark.parametrize(
    ("natural", "cap", "expected"),
    [(16, None, (16, "stop")), (16, 5, (5, "length")), (16, 16, (16, "stop")), (16, 100, (16, "stop"))],
)
def test_a_cap_only_shortens(natural: int, cap: int | None, expected: tuple[int, str]) -> None:
    assert tokens.output_length(natural, cap) == expected


def test_embeddings_have_length_one_and_depend_on_the_text_alone() -> None:
    one = tokens.embedding("sea", 64)
    assert sum(value * value for value in one) == pytest.approx(1)
    assert one == tokens.embedding("sea", 64)
    assert one != tokens.embedding("land", 64)
