"""Media: what passes, what is refused, and that base64 never counts as text."""

import json
from typing import Any

import msgspec
import pytest

from extauth.media import MAX_CONTAINERS, Media, Medium, find_media
from extauth.request import ParsedRequest, parse_request
from ias.endpoints import Endpoint
from ias.errors import ApiError


def parse(body: bytes | dict[str, Any], endpoint: Endpoint = Endpoint.CHAT_COMPLETIONS) -> ParsedRequest:
    return parse_request(body if isinstance(body, bytes) else json.dumps({"model": "m"} | body).encode(), endpoint)


def media_of(param: str, value: Any) -> Media:
    raw = json.dumps(value).encode()
    return find_media(param, msgspec.Raw(raw), raw)


def refused(body: bytes | dict[str, Any]) -> tuple[int, str, str | None]:
    with pytest.raises(ApiError) as error:
        parse(body)
    return error.value.status, error.value.code, error.value.param


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


NOT_UTF8 = b'"\xff"'


@pytest.mark.parametrize(
    "content",
    [
        NOT_UTF8,
        b'[{"type":"text","text":%s}]' % NOT_UTF8,
        b'"%s"' % (b"{[" * MAX_CONTAINERS),
        b'[{"type":"text","text":"%s"}]' % (b"{[" * MAX_CONTAINERS),
        b'[{"type":"text","text":"%s"},%s]' % (b"long" * 1_000, NOT_UTF8),
    ],
)
def test_a_text_without_media_passes_whatever_is_in_it(content: bytes) -> None:
    assert parse(b'{"model":"m","messages":[{"role":"user","content":%s}]}' % content).media == ()


@pytest.mark.parametrize("before", [b"", b' "content": "text",', b" \n"])
@pytest.mark.parametrize("name", [b'"content"', b'"\\u0063ontent"'])
@pytest.mark.parametrize("text", [b"short", b"long" * 1_000, b"{" * 3_000], ids=["short", "long", "of many brackets"])
def test_parts_are_found_wherever_an_engine_finds_them(before: bytes, name: bytes, text: bytes) -> None:
    part = b'{"type":"image_url","image_url":"https://example.org/x.png"}'
    body = b'{"model":"m","messages":[{"role":"assistant"},{"content":"%s"},{%s%s : \t [ %s ]}]}' % (text, before, name, part)
    assert refused(body) == (400, "unsupported_media_url", "messages")


def base64(kind: str) -> dict[str, Any]:
    return {"type": "base64", "media_type": kind, "data": "A" * 64}


@pytest.mark.parametrize(
    ("part", "kinds", "encoded"),
    [
        ({"type": "image_url", "image_url": {"url": "data:AAAA"}}, [Medium.IMAGE], 9),
        ({"type": "image_url", "image_url": "data:AAAA"}, [Medium.IMAGE], 9),
        ({"type": "audio_url", "audio_url": {"url": "data:AAAA"}}, [Medium.AUDIO], 9),
        ({"type": "video_url", "video_url": {"url": "data:AAAA"}}, [Medium.VIDEO], 9),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, [Medium.AUDIO], 4),
        ({"type": "file", "file": {"file_data": "AAAA", "filename": "x.pdf"}}, [Medium.FILE], 4),
        ({"type": "input_file", "file_data": "AAAA"}, [Medium.FILE], 4),
        ({"type": "input_image", "image_url": "data:AAAA"}, [Medium.IMAGE], 9),
        ({"type": "image", "source": base64("image/png")}, [Medium.IMAGE], 64),
        ({"type": "document", "source": base64("application/pdf")}, [Medium.FILE], 64),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain text"}}, [], 0),
        ({"type": "tool_result", "content": [{"type": "image", "source": base64("image/png")}]}, [Medium.IMAGE], 64),
        ({"type": "text", "text": 'see "source" and image_url'}, [], 0),
        ({"type": "tool_use", "input": {"image_url": "https://example.org", "source": {"url": "https://example.org"}}}, [], 0),
    ],
)
@pytest.mark.parametrize("param", ["messages", "input"])
def test_what_counts_as_a_medium(param: str, part: dict[str, Any], kinds: list[Medium], encoded: int) -> None:
    found = media_of(param, [{"role": "user", "content": [part]}])
    assert (found.kinds, found.encoded_bytes) == (kinds, encoded)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}},
        {"type": "input_image", "image_url": "https://example.org/x.png"},
        {"type": "input_file", "file_url": "https://example.org/x.pdf"},
    ],
)
def test_media_of_foreign_hosts_are_refused_in_every_dialect(part: dict[str, Any]) -> None:
    for param in ("messages", "input"):
        with pytest.raises(ApiError) as error:
            media_of(param, [{"role": "user", "content": [part]}])
        assert (error.value.code, error.value.param) == ("unsupported_media_url", param)
