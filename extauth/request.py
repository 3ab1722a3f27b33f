"""Step 4, the request: a pure function of the body. What two parsers could read differently is refused, not interpreted."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from ias.endpoints import Endpoint
from ias.errors import ApiError, invalid_request

MAX_MODEL_LENGTH = 256
MAX_MEMBERS = 1_000
"""Members of the top-level object. OpenAI's largest request has about 40."""
MAX_CONTAINERS = 200_000
"""Braces and brackets of messages that have to be decoded: 10 MiB of empty lists would keep a replica busy for seconds."""

ENGINE_EXTENSIONS: Final = frozenset(
    {
        # scheduling, and state that tenants share
        *("priority", "request_id", "rid", "cache_salt", "extra_key", "data_parallel_rank", "session_params", "lora_path"),
        # connections that the engine would open, or code and files that it would load
        *("kv_transfer_params", "bootstrap_host", "bootstrap_port", "bootstrap_room", "logits_processors", "custom_logit_processor"),
        *("custom_params", "vllm_xargs", "prompt_embeds", "media_io_kwargs", "mm_processor_kwargs"),
        # templates run inside the engine
        *("chat_template", "chat_template_kwargs"),
    }
)
"""Parameters of vLLM and SGLang outside OpenAI's contract by which one tenant could harm another."""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


_CAPS = ("max_tokens", "max_completion_tokens")
_CAP = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0, le=1 << 31)] | None)
_FIELDS: Final[dict[str, tuple[msgspec.json.Decoder[Any], str]]] = {
    "model": (msgspec.json.Decoder(str), "a string"),
    "stream": (msgspec.json.Decoder(bool | None), "a boolean"),
    "stream_options": (msgspec.json.Decoder(_StreamOptions), "an object whose 'include_usage' is a boolean"),
    **dict.fromkeys(_CAPS, (_CAP, "an integer from 0 to 2147483648")),
    "n": (msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1, le=128)] | None), "an integer from 1 to 128"),
}


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """What decisions need to know about a body."""

    model: str
    stream: bool
    include_usage: bool
    """The client asked for the usage of its stream."""
    output_cap: int | None
    """The largest of the caps that the client set, in tokens for each choice."""
    choices: int
    body_bytes: int


def parse_request(body: bytes, endpoint: Endpoint) -> ParsedRequest:
    """Read a JSON body; raise a 400 that names the field for anything that cannot be passed on."""
    members = _members.read(body, "The request body")
    if refused := ENGINE_EXTENSIONS.intersection(members):
        name = str(min(refused))  # a `_Name` cannot be encoded into the answer
        raise invalid_request(f"The parameter '{name}' is not supported here.", name, "unsupported_parameter")
    model = _model(members)
    stream = _value(members, "stream") or False
    include_usage = _include_usage(members)
    caps = [cap for name in _CAPS if (cap := _value(members, name)) is not None]
    choices = _value(members, "n") or 1
    if (messages := members.get("messages")) is not None:
        _refuse_foreign_media(bytes(messages))
    return ParsedRequest(
        model=model,
        stream=stream and endpoint is not Endpoint.EMBEDDINGS,
        include_usage=include_usage,
        output_cap=max(caps, default=None),
        choices=choices,
        body_bytes=len(body),
    )


def _model(members: dict[str, msgspec.Raw]) -> str:
    if "model" not in members:
        raise invalid_request("The body has no 'model'.", "model", "missing_required_parameter")
    model: str = _value(members, "model")
    if not 0 < len(model) <= MAX_MODEL_LENGTH:
        raise invalid_request(f"'model' must have 1 to {MAX_MODEL_LENGTH} characters.", "model")
    return model


def _include_usage(members: dict[str, msgspec.Raw]) -> bool:
    raw = members.get("stream_options")
    if raw is None or bytes(raw) == b"null":
        return False
    _members.read(bytes(raw), "'stream_options'", "stream_options")
    options: _StreamOptions = _value(members, "stream_options")
    return options.include_usage or False


def _value(members: dict[str, msgspec.Raw], name: str) -> Any:
    if (raw := members.get(name)) is None:
        return None
    decoder, wanted = _FIELDS[name]
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_request(f"'{name}' must be {wanted}.", name, "invalid_type") from error


class _Name(str):
    """The name of a member. A type of its own, because msgspec tells its hook of each one, also of a second of the same name."""

    __slots__ = ()


class _MemberReader:
    """Splits an object into its members without decoding their values; one pass in C, and one call for each name."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=self._name)
        self._seen: set[str] = set()
        self._what: tuple[str, str | None] = ("", None)

    def read(self, raw: bytes, what: str, param: str | None = None) -> dict[str, msgspec.Raw]:
        """Return the members; raise a 400 for what is not an object, is not JSON, is too deep, or has a name twice."""
        self._seen.clear()
        self._what = (what, param)
        try:
            return self._decoder.decode(raw)  # type: ignore[return-value]  # a _Name is a str, but dict is invariant
        except msgspec.ValidationError as error:
            raise invalid_request(f"{what} must be a JSON object.", param, "invalid_type") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise invalid_request(f"{what} is not valid JSON.", param, "invalid_json") from error
        except RecursionError as error:
            raise invalid_request(f"{what} is nested too deeply.", param, "invalid_json") from error

    def _name(self, _: type, name: str) -> _Name:
        if name in self._seen:
            raise _twice(name, *self._what)
        if len(self._seen) >= MAX_MEMBERS:
            raise invalid_request(f"{self._what[0]} has more than {MAX_MEMBERS} members.", self._what[1], "invalid_json")
        self._seen.add(name)
        return _Name(name)


_members = _MemberReader()


def _twice(name: str, what: str, param: str | None) -> ApiError:
    shown = name[:64]
    return invalid_request(f"{what} has the member '{shown}' twice.", param or shown, "duplicate_parameter")


def _refuse_foreign_media(messages: bytes) -> None:
    """An engine would fetch any URL it is given, from inside our network: only media that the request itself carries pass.

    Bodies without media, nearly all, are only searched; a name may also hide behind escapes, then the messages are decoded.
    """
    if b"_url" not in messages and b"_embeds" not in messages and b"\\u00" not in messages:
        return
    if messages.count(b"{") + messages.count(b"[") > MAX_CONTAINERS:
        raise invalid_request(f"'messages' has more than {MAX_CONTAINERS} objects and lists.", "messages", "invalid_json")
    try:
        decoded = msgspec.json.decode(messages)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid_request("'messages' is not valid JSON.", "messages", "invalid_json") from error
    waiting = [message.get("content") for message in decoded if isinstance(message, dict)] if isinstance(decoded, list) else []
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, dict):
            _check_part(part)
            waiting.extend(part.values())


def _check_part(part: dict[str, Any]) -> None:
    for name, value in part.items():
        if name.endswith("_embeds"):
            raise invalid_request(f"Message content of the kind '{name[:64]}' is not supported here.", "messages", "unsupported_parameter")
        if name.endswith("_url") and not _is_inline(value):
            raise invalid_request("Media must be sent in the request as a 'data:' URL.", "messages", "unsupported_media_url")


def _is_inline(value: object) -> bool:
    url = value.get("url") if isinstance(value, dict) else value
    return url is None or (isinstance(url, str) and url[:5].lower() == "data:")
