"""Media inside a request: only what the request itself carries passes, and how much of it there is. Pure.

An engine would fetch any URL it is given, from inside our network. And base64 is no text: it is taken out of what
tokens are estimated by, and the media are counted instead.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec

from ias.errors import invalid_request

MAX_CONTAINERS = 200_000
"""Braces and brackets of messages that have to be decoded: 10 MiB of empty lists would keep a replica busy for seconds."""

_FEW: Final = 2_000
"""Up to so many of each bracket, decoding them takes less time than a search for the signs."""
_SIGNS: Final = (b"_url", b"_embeds", b"input_audio", b'"source"', b"file_data", b"\\u00")
"""Without one of these there is no medium; a name may also hide behind escapes."""


class Medium(StrEnum):
    """What is not text; told by a part of the member's name or of the media type."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    FILE = "file"
    """Documents, and whatever is none of the others."""


@dataclass(slots=True)
class Media:
    """What a request carries beside text. `encoded_bytes` is the length of its base64."""

    kinds: list[Medium] = field(default_factory=list)
    encoded_bytes: int = 0

    def add(self, sign: str, data: object) -> None:
        """One medium more."""
        self.kinds.append(next((kind for kind in Medium if kind in sign), Medium.FILE))
        if isinstance(data, str):
            self.encoded_bytes += len(data)


def find_media(param: str, raw: msgspec.Raw, body: bytes) -> Media:
    """Count the media in `messages` or `input`, a part of `body`; raise a 400 for media of foreign hosts and for embedded tensors."""
    found = Media()
    waiting = [_decoded_if_it_may_matter(param, raw, body)]
    if param == "messages":  # names beside the content, such as a tool call's, are none of an engine's loaders
        (messages,) = waiting
        waiting = [message.get("content") for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, dict):
            for name, value in part.items():
                _take_member(found, param, name, value)
            # What a tool was called with (Anthropic's form) has names of the tool's own.
            waiting.extend(value for name, value in part.items() if name != "input" or part.get("type") != "tool_use")
    return found


class _Message(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw(b"null")


_MESSAGES = msgspec.json.Decoder(list[_Message])


def _decoded_if_it_may_matter(param: str, raw: msgspec.Raw, body: bytes) -> Any:
    """What `raw` says; None where no medium can be."""
    if len(body) <= _FEW:
        pass  # nor can there be more brackets
    elif _are_few(body, b"{") and _are_few(body, b"["):
        if param == "messages" and _are_texts(raw):
            return None
    elif not _has_signs(whole := bytes(raw)):
        return None
    elif whole.count(b"{") + whole.count(b"[") > MAX_CONTAINERS:
        raise invalid_request(f"'{param}' has more than {MAX_CONTAINERS} objects and lists.", param, "invalid_json")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if not _has_signs(bytes(raw)):
            return None  # whether the engine reads it is between it and its client
        raise invalid_request(f"'{param}' is not valid JSON.", param, "invalid_json") from error


def _are_texts(raw: msgspec.Raw) -> bool:
    """Whether the content of no message has parts: texts need not even be decoded."""
    try:
        messages = _MESSAGES.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return all(bytes(memoryview(message.content)[:1]) not in b"[{" for message in messages)


def _are_few(raw: bytes, bracket: bytes) -> bool:
    """Whether there are at most `_FEW`. To find the next one takes a twentieth of the time of counting them."""
    at = raw.find(bracket)
    for _ in range(_FEW):
        if at < 0:
            return True
        at = raw.find(bracket, at + 1)
    return False


def _has_signs(raw: bytes) -> bool:
    return any(sign in raw for sign in _SIGNS)


def _take_member(found: Media, param: str, name: str, value: Any) -> None:
    if name.endswith("_embeds"):
        raise invalid_request(f"Message content of the kind '{name[:64]}' is not supported here.", param, "unsupported_parameter")
    if name.endswith("_url"):
        url = value.get("url") if isinstance(value, dict) else value
        _refuse_foreign(param, url)
        found.add(name, url)
    elif name == "input_audio" and isinstance(value, dict):
        found.add(name, value.get("data"))
    elif name == "file_data":
        found.add(name, value)
    elif name == "source" and isinstance(value, dict):  # Anthropic's form
        _refuse_foreign(param, value.get("url"))
        if value.get("type") == "base64":
            found.add(str(value.get("media_type")), value.get("data"))


def _refuse_foreign(param: str, url: object) -> None:
    if url is not None and not (isinstance(url, str) and url[:5].lower() == "data:"):
        raise invalid_request("Media must be sent in the request as a 'data:' URL.", param, "unsupported_media_url")
