import json
from typing import Any

import pytest

from extauth.request import ENGINE_EXTENSIONS, MAX_CONTAINERS, MAX_MEMBERS, ParsedRequest, parse_request
from ias.endpoints import Endpoint
from ias.errors import ApiError


def parse(body: bytes | dict[str, Any], endpoint: Endpoint = Endpoint.CHAT_COMPLETIONS) -> ParsedRequest:
    return parse_request(body if isinstance(body, bytes) else json.dumps({"model": "m"} | body).encode(), endpoint)


def refused(body: bytes | dict[str, Any]) -> tuple[int, str, str | None]:
    with pytest.raises(ApiError) as error:
        parse(body)
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
        ({"n": 0}, "invalid_type", "n"),
        ({"n": 129}, "invalid_type", "n"),
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


def content(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


INLINE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}},
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
        {"type": "image_url", "image_url": {"url": " data:x"}},
        {"type": "image_url", "image_url": {"url": 7}},
        {"type": "image_url", "image_url": "https://example.org/x.png"},
        {"image_url": "https://example.org/x.png"},
        {"type": "audio_url", "audio_url": {"url": "https://example.org/x.wav"}},
        {"type": "video_url", "video_url": {"url": "https://example.org/x.mp4"}},
        {"type": "tool_result", "content": [{"type": "image_url", "image_url": {"url": "https://example.org"}}]},
    ],
)
def test_media_of_foreign_hosts_is_refused(part: dict[str, Any]) -> None:
    assert refused(content({"type": "text", "text": "look"}, INLINE, part)) == (400, "unsupported_media_url", "messages")


def test_media_hidden_behind_escapes_is_refused() -> None:
    body = b'{"model":"m","messages":[{"content":[{"image\\u005furl":{"url":"https://example.org"}}]}]}'
    assert refused(body) == (400, "unsupported_media_url", "messages")


@pytest.mark.parametrize("part", [b"[],", b"{},", b'{"image_url":"data:"},'])
def test_messages_of_very_many_parts_are_refused_before_they_are_decoded(part: bytes) -> None:
    body = b'{"model":"m","messages":[{"content":[%s"_url"]}]}' % (part * (MAX_CONTAINERS + 1))
    assert refused(body) == (400, "invalid_json", "messages")


def test_embedded_tensors_are_refused() -> None:
    assert refused(content({"type": "image_embeds", "image_embeds": "AA=="})) == (400, "unsupported_parameter", "messages")


@pytest.mark.parametrize(
    "messages",
    [
        content(INLINE, {"type": "image_url", "image_url": "DATA:image/png;base64,AA=="}, {"type": "image_url", "image_url": None}),
        {"messages": [{"role": "user", "content": 'say "image_url": "https://example.org" and \u00e4'}]},
        {"messages": [{"role": "user", "content": None}, "not a message", 7]},
        {"messages": "image_url"},
        {"tools": [{"function": {"parameters": {"properties": {"image_url": {"url": "https://example.org"}}}}}], "messages": []},
    ],
)
def test_inline_media_and_mere_talk_about_urls_pass(messages: dict[str, Any]) -> None:
    assert parse(messages).model == "m"
