"""What is read out of an engine's answer, endpoint by endpoint."""

import json
import time

import pytest

from extproc.bodies import JsonBody
from extproc.dialects.chat import ChatReader, without_member
from extproc.dialects.messages import MessagesReader
from extproc.dialects.reading import Reading, StreamReader
from extproc.dialects.responses import ResponsesReader
from extproc.dialects.whole import TAIL_BYTES, read_tail, read_whole
from tests.support.engine_bytes import completion, delta, message, response, response_usage, usage


def chat(*, choices: int = 1, drops: bool = False, cuts: bool = False) -> ChatReader:
    return ChatReader(chat=True, choices=choices, drops_usage=drops, cuts_running=cuts)


def read(reader: StreamReader, *events: object) -> Reading:
    for event in events:
        reader.on_data(event if isinstance(event, bytes) else json.dumps(event).encode())
    return reader.seen


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
    assert read(chat(), chunk) == Reading(deltas=1)


@pytest.mark.parametrize(
    "chunk", [delta("", role="assistant"), delta(), delta(refusal=None), delta(tool_calls=[]), {"choices": [{"text": "", "delta": None}]}, {}]
)
def test_chunks_without_output_do_not(chunk: object) -> None:
    assert read(chat(), chunk) == Reading()


def test_each_choice_of_a_chunk_counts() -> None:
    assert read(chat(), {"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}, {"delta": {}}]}).deltas == 2


BROKEN = [b"{", b"\xff", b'{"choices": 3}', b"[" * 100_000, b'{"choices":[{"delta":{"content":"\xff"}}], "usage": "x"}']


@pytest.mark.parametrize("data", BROKEN)
@pytest.mark.parametrize("reader", [chat, MessagesReader, ResponsesReader])
def test_what_cannot_be_read_breaks_nothing(reader: type[StreamReader], data: bytes) -> None:
    assert read(reader(), data).deltas <= 1


def test_what_cannot_be_read_counts_as_output() -> None:
    assert read(chat(), *BROKEN, delta("a")) == Reading(deltas=len(BROKEN) + 1)


@pytest.mark.parametrize("nonsense", [-1, 1 << 41, "7", 1.5])
def test_a_number_that_is_no_count_is_not_believed(nonsense: object) -> None:
    assert read(chat(), {**delta("a"), "usage": {"prompt_tokens": nonsense}}) == Reading(deltas=1)
    assert read_whole(json.dumps({"usage": {"prompt_tokens": nonsense}}).encode()) == Reading(done=True)


def test_only_a_chunk_with_usage_and_no_choices_is_the_extra_one() -> None:
    reader = chat(drops=True)
    for kept in ({"choices": [], "prompt_filter_results": []}, {"usage": usage()}, {**delta("a"), "usage": usage()}, {"choices": [], "usage": None}):
        assert reader.on_data(json.dumps(kept).encode()) is None
        assert not reader.seen.done
    assert reader.on_data(json.dumps({"choices": [], "usage": usage()}).encode()) == b""
    assert reader.seen.done


def test_output_behind_the_usage_chunk_means_that_the_engine_goes_on() -> None:
    early = {"choices": [], "usage": usage(11, 0)}
    seen = read(chat(), early, delta("a"), delta("b"))
    assert (seen.done, seen.untold) == (False, 2)
    assert read(chat(), early, delta("a"), {"choices": [], "usage": usage(11, 1)}).done


def test_the_latest_usage_wins() -> None:
    seen = read(chat(), {**delta("a"), "usage": usage(1, 1)}, {**delta("b"), "usage": usage(1, 2, cached=1)}, {**delta(), "usage": None})
    assert (seen.input, seen.cached_input, seen.output) == (1, 1, 2)


def test_running_usage_is_that_of_its_choice_and_the_last_chunk_has_the_sum() -> None:
    def running(index: int, tokens: int) -> dict[str, object]:
        return {"choices": [{"index": index, "delta": {"content": "x"}}], "usage": usage(5, tokens)}

    reader = chat(choices=2)
    assert read(reader, running(0, 1), running(1, 1), running(0, 2), running(1, 2), running(0, 3)).output == 5
    assert read(reader, {"choices": [], "usage": usage(5, 6)}).output == 6


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"id":"c","choices":[{"index":0}],"usage":{"a":1}}', b'{"id":"c","choices":[{"index":0}]}'),
        (b'{"choices": [{"index": 0}], "usage": {"a": {"b": 1}}}', b'{"choices": [{"index": 0}]}'),
        (b'{"usage":{"a":1},"choices":[{"index":0}]}', b'{"choices":[{"index":0}]}'),
        (b'{"usage":{"a":1} , "choices":[{"index":0}]}', b'{"choices":[{"index":0}]}'),
        (b'{"choices":[{"index":0}],"usage" : {"a":1},"x":1}', b'{"choices":[{"index":0}],"x":1}'),
        (b'{"usage":{},"choices":[{"index":0,"delta":{"content":"{}{}"}}]}', b'{"choices":[{"index":0,"delta":{"content":"{}{}"}}]}'),
        (
            b'{"choices":[{"delta":{"content":"\\"usage\\":{\\"a\\":1}"}}],"usage":{"a":1}}',
            b'{"choices":[{"delta":{"content":"\\"usage\\":{\\"a\\":1}"}}]}',
        ),
    ],
)
def test_running_usage_is_cut_out_and_every_other_byte_stays(before: bytes, after: bytes) -> None:
    assert chat(cuts=True).on_data(before) == after
    assert chat(cuts=False).on_data(before) is None


def test_an_answer_full_of_what_looks_like_its_usage_costs_no_more_than_its_length() -> None:
    before = b'{"usage":{},"choices":[{"text":"' + b"{}" * 400_000 + b'"}]}'
    began = time.process_time()
    assert chat(cuts=True).on_data(before) == before.replace(b'"usage":{},', b"")
    assert time.process_time() - began < 1


def test_a_member_that_is_not_there_is_not_cut_out() -> None:
    assert without_member(b'{"a":1}', "usage", b"1") is None


def test_a_response_is_read_to_its_last_event() -> None:
    assert read(ResponsesReader(), *response(prompt=20, completion=7, cached=4, reasoning=5)) == Reading(20, 4, 7, 5, deltas=2, done=True)


@pytest.mark.parametrize(
    ("last", "done", "failed"),
    [
        ({"type": "response.incomplete", "response": {"usage": response_usage(1, 2)}}, True, False),
        ({"type": "response.failed", "response": {"usage": response_usage(1, 2)}}, True, True),
        ({"type": "response.failed", "response": {"usage": "broken"}}, True, True),
        ({"type": "error", "message": "out of memory"}, False, True),
        (b"[DONE]", True, False),
    ],
)
def test_how_a_response_may_end_otherwise(last: object, done: bool, failed: bool) -> None:
    seen = read(ResponsesReader(), *response()[:2], last)
    assert (seen.done, seen.failed, seen.deltas) == (done, failed, 1)


def test_a_message_is_read_to_its_last_event_and_its_cache_is_part_of_the_prompt() -> None:
    assert read(MessagesReader(), *message(prompt=20, completion=7, cached=4)) == Reading(20, 4, 7, deltas=2, done=True)


def test_a_message_cut_short_has_its_prompt_reported_and_its_output_counted() -> None:
    assert read(MessagesReader(), *message(prompt=20)[:5]) == Reading(input=20, deltas=1)


def test_an_error_in_a_message_is_the_engines() -> None:
    assert read(MessagesReader(), {"type": "error", "error": {"type": "overloaded_error"}}).failed


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (completion(prompt=17, completion=4, cached=2, reasoning=1), Reading(17, 2, 4, 1, done=True)),
        (json.dumps({"usage": response_usage(17, 4, 2, 1)}).encode(), Reading(17, 2, 4, 1, done=True)),
        (
            b'{"usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":2,"output_tokens":4}}',
            Reading(17, 5, 4, done=True),
        ),
        (b'{"data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}', Reading(8, done=True)),
        (b'{"usage":{"prompt_tokens":8,"completion_tokens":null}}', Reading(8, done=True)),
        # A proxy in the engine's place that names the cache twice: it is inside of `prompt_tokens`, as OpenAI counts.
        (
            b'{"usage":{"prompt_tokens":17,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":5},"cache_read_input_tokens":5}}',
            Reading(17, 5, 4, done=True),
        ),
        (b'{"usage":{"prompt_tokens":17,"completion_tokens":4,"cache_read_input_tokens":5}}', Reading(17, 5, 4, done=True)),
        (b'{"choices": []}', Reading(done=True)),
        (b"[]", Reading(done=True)),
        (b'{"usage": {"prompt_tokens": 1}', None),
    ],
)
def test_whole_answers_of_every_endpoint(body: bytes, expected: Reading | None) -> None:
    assert read_whole(body) == expected


@pytest.mark.parametrize("behind", [b"}", b', "prompt_logprobs": null}', b', "x": {"y": [1, 2]}}'])
def test_the_usage_of_a_huge_answer_is_found_at_its_end(behind: bytes) -> None:
    body = b'{"data": ["' + b"0" * 300_000 + b'", "\\"usage\\": {}"], "usage": ' + json.dumps(usage(70_000, 0, cached=3)).encode() + behind
    huge = JsonBody(limit=100_000)
    for start in range(0, len(body), 7_000):
        huge.feed(body[start : start + 7_000], end=start + 7_000 >= len(body))
    assert huge.seen == Reading(70_000, 3, 0)


@pytest.mark.parametrize("tail", [b"", b'"usage"', b'"usage": {', b'"usage": 3}', b'"usage": {"prompt_tokens": -1}}', b'"usage": ' + b"[" * 50_000])
def test_a_tail_without_readable_usage_says_nothing(tail: bytes) -> None:
    assert read_tail(tail[:TAIL_BYTES]) == Reading()


def test_nothing_is_known_of_a_json_answer_before_its_end() -> None:
    body = JsonBody(limit=1_000)
    body.feed(completion(), end=False)
    assert body.seen == Reading()
    assert body.is_whole()
    assert body.seen.output == 3
