"""What is read out of an engine's answer."""

import json

import pytest

from extproc.bodies import JsonBody
from extproc.usage import TAIL_BYTES, StreamMeter, Tokens, read_tail, read_whole
from ias.usage_event import UsageSource
from tests.support.engine_bytes import completion, delta, usage


def metered(*chunks: object) -> StreamMeter:
    meter = StreamMeter()
    for chunk in chunks:
        meter.on_data(chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode())
    return meter


@pytest.mark.parametrize(
    "chunk",
    [
        delta("a"),
        delta(reasoning_content="hm"),
        delta(reasoning="hm"),
        delta(refusal="no"),
        delta("", tool_calls=[{"index": 0, "function": {"arguments": "{"}}]),
        {"choices": [{"index": 0, "text": "a"}]},
    ],
)
def test_every_kind_of_output_counts(chunk: object) -> None:
    assert metered(chunk).tokens == Tokens(output=1, source=UsageSource.COUNTED)


@pytest.mark.parametrize(
    "chunk", [delta("", role="assistant"), delta(), delta(refusal=None), delta(tool_calls=[]), {"choices": [{"text": "", "delta": None}]}, {}]
)
def test_chunks_without_output_do_not(chunk: object) -> None:
    assert metered(chunk).tokens == Tokens()
    assert not metered(chunk).has_output


def test_each_choice_of_a_chunk_counts() -> None:
    assert metered({"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}, {"delta": {}}]}).tokens.output == 2


@pytest.mark.parametrize("chunk", [b"{", b"\xff", b'{"choices": 3}', b"[" * 100_000, b'{"choices":[{"delta":{"content":"\xff"}}], "usage": "x"}'])
def test_what_cannot_be_read_counts_as_output_and_breaks_nothing(chunk: bytes) -> None:
    assert metered(chunk, delta("a")).tokens == Tokens(output=2, source=UsageSource.COUNTED)


@pytest.mark.parametrize("nonsense", [-1, 1 << 41, "7", 1.5])
def test_a_number_that_is_no_count_is_not_believed(nonsense: object) -> None:
    assert metered({**delta("a"), "usage": {"prompt_tokens": nonsense}}).tokens.source is UsageSource.COUNTED
    assert read_whole(json.dumps({"usage": {"prompt_tokens": nonsense}}).encode()) == Tokens()


def test_only_a_chunk_with_usage_and_no_choices_is_the_extra_one() -> None:
    meter = StreamMeter()
    assert not meter.on_data(json.dumps({"choices": [], "prompt_filter_results": []}).encode())
    assert not meter.on_data(json.dumps({"usage": usage()}).encode())
    assert not meter.on_data(json.dumps({**delta("a"), "usage": usage()}).encode())
    assert not meter.done
    assert meter.on_data(json.dumps({"choices": [], "usage": usage()}).encode())
    assert meter.done


def test_the_latest_usage_wins() -> None:
    assert metered({**delta("a"), "usage": usage(1, 1)}, {**delta("b"), "usage": usage(1, 2)}, {**delta(), "usage": None}).tokens.output == 2


def test_a_whole_answer_without_usage_is_estimated() -> None:
    assert read_whole(b'{"choices": []}') == Tokens()
    assert read_whole(b"[]") == Tokens()
    assert read_whole(b'{"usage": {"prompt_tokens": 1}') is None


@pytest.mark.parametrize("behind", [b"}", b', "prompt_logprobs": null}', b', "x": {"y": [1, 2]}}'])
def test_the_usage_of_a_huge_answer_is_found_at_its_end(behind: bytes) -> None:
    body = b'{"data": ["' + b"0" * 300_000 + b'", "\\"usage\\": {}"], "usage": ' + json.dumps(usage(70_000, 0, cached=3)).encode() + behind
    read = JsonBody(limit=100_000)
    for start in range(0, len(body), 7_000):
        read.feed(body[start : start + 7_000], end=start + 7_000 >= len(body))
    assert read.tokens == Tokens(input=70_000, cached_input=3, source=UsageSource.REPORTED)


@pytest.mark.parametrize("tail", [b"", b'"usage"', b'"usage": {', b'"usage": 3}', b'"usage": {"prompt_tokens": -1}}', b'"usage": ' + b"[" * 50_000])
def test_a_tail_without_readable_usage_is_estimated(tail: bytes) -> None:
    assert read_tail(tail[:TAIL_BYTES]) == Tokens()


def test_nothing_is_known_of_a_json_answer_before_its_end() -> None:
    read = JsonBody(limit=1_000)
    read.feed(completion(), end=False)
    assert read.tokens == Tokens()
    assert read.is_whole()
    assert read.tokens.source is UsageSource.REPORTED
