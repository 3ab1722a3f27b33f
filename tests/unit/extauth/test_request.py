import json
from typing import Any

import pytest

from extauth.json_members import MAX_MEMBERS
from extauth.media import Medium
from extauth.request import ENGINE_EXTENSIONS, MAX_PROMPTS, ParsedRequest, parse_request
from ias.endpoints import Endpoint
from ias.errors import ApiError


def parse(body: bytes | dict[str, Any], endpoint: Endpoint = Endpoint.CHAT_COMPLETIONS) -> ParsedRequest:
    return parse_request(body if isinstance(body, bytes) else json.dumps({"model": "m"} | body).encode(), endpoint)


def refused(body: bytes | dict[str, Any], endpoint: Endpoint = Endpoint.CHAT_COMPLETIONS) -> tuple[int, str, str | None]:
    with pytest.raises(ApiError) as error:
        parse(body, endpoint)
    assert json.loads(error.value.openai_body())["error"]["param"] == error.value.param, "the answer can be written"
    return error.value.status, error.value.code, error.value.param


def test_what_is_read() -> None:
    body = b'{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":7,"n":2,"x":[1]}'
    assert parse(body) == ParsedRequest("m", stream=True, include_usage=True, output_cap=7, choices=2, body_bytes=len(body))


def test_what_is_assumed() -> None:
    nulls = {"stream": None, "stream_options": None, "max_tokens": None, "n": None, "messages": None}
    for body in ({}, nulls):
        request = parse(body)
        assert (request.stream, request.include_usage, request.output_cap, request.choices) == (False, False, None, 1)


def test_an_embedding_is_never_a_stream() -> None:
    assert not parse({"stream": True}, Endpoint.EMBEDDINGS).stream


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"model=m", "invalid_json", None),
        (b'{"model":"m"', "invalid_json", None),
        (b'{"model":"m"}x', "invalid_json", None),
        (b'\xef\xbb\xbf{"model":"m"}', "invalid_json", None),
        (b'{"model":"m","x":NaN}', "invalid_json", None),
        (b'{"\xff":1,"model":"m"}', "invalid_json", None),
        ('{"model":"m"}'.encode("utf-16"), "invalid_json", None),
        (b'{"model":"m","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "invalid_json", None),
        (b'{"x":' * 200_000, "invalid_json", None),
        (b"[]", "invalid_type", None),
        (b'"m"', "invalid_type", None),
        (b"null", "invalid_type", None),
        (b"{}", "missing_required_parameter", "model"),
        (b'{"model":null}', "invalid_type", "model"),
        (b'{"model":7}', "invalid_type", "model"),
        (b'{"model":["m"]}', "invalid_type", "model"),
        (b'{"model":"\xff"}', "invalid_type", "model"),
        (b'{"model":""}', "invalid_value", "model"),
        ({"model": "m" * 257}, "invalid_value", "model"),
        ({"stream": 1}, "invalid_type", "stream"),
        ({"stream": "true"}, "invalid_type", "stream"),
        ({"stream_options": 3}, "invalid_type", "stream_options"),
        ({"stream_options": []}, "invalid_type", "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "invalid_type", "stream_options"),
        (b'{"model":"m","stream_options":{"include_usage":true,"include_usage":false}}', "duplicate_parameter", "stream_options"),
        ({"max_tokens": -1}, "invalid_type", "max_tokens"),
        ({"max_tokens": "9"}, "invalid_type", "max_tokens"),
        ({"max_completion_tokens": 1.5}, "invalid_type", "max_completion_tokens"),
        ({"max_tokens": 10**30}, "invalid_type", "max_tokens"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_tokens": 9, "max_completion_tokens": 0}, "invalid_value", "max_completion_tokens"),
        ({"n": 0}, "invalid_type", "n"),
        ({"n": 129}, "invalid_type", "n"),
        ({"best_of": 129}, "invalid_type", "best_of"),
        ({str(i): i for i in range(MAX_MEMBERS)}, "invalid_json", None),
    ],
)
def test_what_cannot_be_passed_on(body: bytes | dict[str, Any], code: str, param: str | None) -> None:
    assert refused(body) == (400, code, param)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"model":"a","model":"a"}', "model"),
        (b'{"model":"a","mod\\u0065l":"b"}', "model"),
        (b'{"\\u006dodel":"a","m\\u006fdel":"b"}', "model"),
        (b'{"model":"a","x":{"y":1},"x":2}', "x"),
        (b'{"model":"a","":1,"":2}', ""),
    ],
)
def test_a_name_that_comes_twice_is_refused_however_it_is_spelled(body: bytes, param: str) -> None:
    assert refused(body) == (400, "duplicate_parameter", param)


def test_the_same_name_in_another_object_is_fine() -> None:
    assert parse(b'{"model":"a","x":{"model":"b","y":{"model":"c"}},"z":"\\"model\\":"}').model == "a"


def test_a_refused_body_leaves_no_trace_in_the_next() -> None:
    refused(b'{"model":"a","x":1,"x":2}')
    refused(b'{"model":"a","y":')
    assert parse(b'{"model":"a","x":1,"y":2}').model == "a"


@pytest.mark.parametrize("name", sorted(ENGINE_EXTENSIONS))
def test_engine_extensions_are_refused(name: str) -> None:
    assert refused({name: None}) == (400, "unsupported_parameter", name)


CHAT, COMPLETIONS, EMBEDDINGS = Endpoint.CHAT_COMPLETIONS, Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS
RESPONSES, MESSAGES = Endpoint.RESPONSES, Endpoint.MESSAGES
ALL_CAPS = {"max_tokens": 1, "max_completion_tokens": 2, "max_output_tokens": 4}


@pytest.mark.parametrize(("endpoint", "cap"), [(CHAT, 2), (COMPLETIONS, 1), (EMBEDDINGS, None), (RESPONSES, 4), (MESSAGES, 1)])
def test_a_cap_counts_only_where_the_engine_reads_it(endpoint: Endpoint, cap: int | None) -> None:
    """Else `max_tokens: 1` beside the real one would hold next to nothing for an endless answer."""
    assert parse(ALL_CAPS, endpoint).output_cap == cap


def test_the_largest_cap_counts() -> None:
    assert parse({"max_tokens": 1, "max_completion_tokens": 32_000}).output_cap == 32_000


def test_completions_may_score_a_prompt_without_output() -> None:
    assert parse({"max_tokens": 0}, COMPLETIONS).output_cap == 0


@pytest.mark.parametrize(
    ("endpoint", "members", "prompts", "choices"),
    [
        (COMPLETIONS, {"prompt": "a"}, 1, 1),
        (COMPLETIONS, {"prompt": ["a"]}, 1, 1),
        (COMPLETIONS, {"prompt": ["a", "b"], "n": 3}, 2, 6),
        (COMPLETIONS, {"prompt": ["a", "b"], "n": 2, "best_of": 4}, 2, 8),
        (COMPLETIONS, {"prompt": [1, 2, 3]}, 1, 1),
        (COMPLETIONS, {"prompt": [[1, 2], [3]]}, 2, 2),
        (COMPLETIONS, {"prompt": []}, 1, 1),
        (COMPLETIONS, {"prompt": None}, 1, 1),
        (EMBEDDINGS, {"input": ["a", "b", "c"]}, 3, 3),
        (RESPONSES, {"input": [{"role": "user"}, {"role": "user"}]}, 1, 1),
        (CHAT, {"prompt": ["a", "b"], "n": 2}, 1, 2),
    ],
)
def test_prompts_and_choices(endpoint: Endpoint, members: dict[str, Any], prompts: int, choices: int) -> None:
    request = parse(members, endpoint)
    assert (request.prompts, request.choices) == (prompts, choices)


def test_prompts_are_counted_however_far_apart_they_are_written() -> None:
    assert parse(b'{"model":"m","prompt":[' + b" " * 1_000 + b'"a",\n"b"]}', COMPLETIONS).prompts == 2


def test_very_many_prompts_are_refused() -> None:
    assert refused({"input": ["a"] * (MAX_PROMPTS + 1)}, EMBEDDINGS) == (400, "invalid_value", "input")


def test_tools_are_measured() -> None:
    assert parse(b'{"model":"m","tools":[{"type":"function"}]}').tools_bytes == len(b'[{"type":"function"}]')


def test_base64_is_no_text() -> None:
    url = "data:image/png;base64," + "A" * 1_000
    body = json.dumps({"model": "m", "messages": [{"content": [{"type": "image_url", "image_url": {"url": url}}]}]}).encode()
    request = parse(body)
    assert (request.media, request.body_bytes) == ((Medium.IMAGE,), len(body) - len(url))


@pytest.mark.parametrize("endpoint", [RESPONSES, MESSAGES])
@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"mcp_servers": [{"url": "https://example.org"}]}, "mcp_servers"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "function"}, {"type": "mcp", "server_url": "https://example.org"}]}, "tools"),
        ({"tools": [{"type": "web_search_preview"}]}, "tools"),
    ],
)
def test_state_and_tools_of_the_engine_are_refused(endpoint: Endpoint, members: dict[str, Any], param: str) -> None:
    assert refused(members, endpoint) == (400, "unsupported_parameter", param)


def test_tools_of_the_client_pass() -> None:
    tools = [{"type": "function", "name": "f"}, {"name": "g", "input_schema": {}}, {"type": "custom"}]
    assert parse({"tools": tools, "previous_response_id": None, "background": False}, MESSAGES).tools_bytes > 0
