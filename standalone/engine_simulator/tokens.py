"""The simulator's arithmetic of tokens: a word is a token. Pure and deterministic: the same request, the same answer."""

import hashlib
import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

FinishReason = Literal["stop", "length"]

MESSAGE_TOKENS = 4
"""What a chat template adds to each message."""

_TEXT = (
    "the sea is wide and slow light falls on every wave while small birds write their names in wind salt keeps old songs "
    "and deep below a quiet current carries warm water toward cold harbours where boats wait for morning"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event brings: one or more tokens of one choice."""

    text: str
    tokens: int
    generated: int
    """Tokens of the choice so far, these included."""
    thought: bool
    """It is reasoning, not answer."""
    finish: FinishReason | None
    """Why the choice ends here."""


def pieces(seed: str, length: int, finish: FinishReason, *, reasoning: int = 0, per_chunk: int = 1) -> Iterator[Piece]:
    """Cut one choice of `length` tokens into events of at most `per_chunk`; the first `reasoning` tokens are thought."""
    source, done = words(seed), 0
    while done < length:
        end = min(done + per_chunk, length)
        if done < reasoning < end:
            end = reasoning
        text = "".join(itertools.islice(source, end - done))
        yield Piece(text, end - done, end, done < reasoning, finish if end == length else None)
        done = end


def chat_prompt_tokens(messages: list[dict[str, Any]]) -> int:
    """Count the prompt of a chat: the words of every message and the template around each."""
    return sum(MESSAGE_TOKENS + text_tokens(_text_of(message.get("content"))) for message in messages)


def prompts_of(prompt: object) -> list[int]:
    """Return the size of each prompt in a completions or embeddings request.

    `prompt` is a text, a list of texts, a list of token ids, or a list of such lists; raises ValueError for anything else.
    """
    if isinstance(prompt, str):
        return [text_tokens(prompt)]
    if not isinstance(prompt, list) or not prompt:
        raise ValueError("expected a text, a list of texts, or token ids")
    if all(_is_token_id(item) for item in prompt):
        return [len(prompt)]
    if all(isinstance(item, str) for item in prompt):
        return [text_tokens(item) for item in prompt]
    if all(isinstance(item, list) and item and all(_is_token_id(token) for token in item) for item in prompt):
        return [len(item) for item in prompt]
    raise ValueError("expected a text, a list of texts, or token ids")


def text_tokens(text: str) -> int:
    """Count words; even an empty prompt has its beginning-of-text token."""
    return max(1, len(text.split()))


def words(seed: str) -> Iterator[str]:
    """Yield the endless answer that belongs to a seed, word by word; all but the first begin with a space."""
    start = int.from_bytes(hashlib.blake2s(seed.encode(), digest_size=2).digest()) % len(_WORDS)
    for number, word in enumerate(itertools.islice(itertools.cycle(_WORDS), start, None)):
        yield word if number == 0 else f" {word}"


def output_length(natural: int, cap: int | None) -> tuple[int, FinishReason]:
    """Return how many tokens an answer gets and why it ends: its natural end comes before the cap, when both meet."""
    if cap is not None and cap < natural:
        return cap, "length"
    return natural, "stop"


def embedding(seed: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 that depends on the seed only."""
    raw = hashlib.shake_128(seed.encode()).digest(2 * dimensions)
    values = [value / 32768 for value in struct.unpack(f"<{dimensions}h", raw)]
    norm = sum(value * value for value in values) ** 0.5 or 1.0
    return [value / norm for value in values]


def _is_token_id(item: object) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)


def _text_of(content: object) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
