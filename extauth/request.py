"""Step 4, the request: a pure function of the body. What two parsers could read differently is refused, not interpreted."""

import re
from typing import Annotated, Any, Final

import msgspec

from extauth.json_members import read_members
from extauth.media import Medium, find_media
from ias.endpoints import Endpoint
from ias.errors import ApiError, invalid_request

MAX_MODEL_LENGTH = 256
MAX_PROMPTS = 2_048
"""Prompts of one request; OpenAI's limit for embeddings."""

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


class _Tool(msgspec.Struct):
    type: str | None = None


_CHAT_CAPS = ("max_tokens", "max_completion_tokens")
_CAPS: Final = {
    Endpoint.CHAT_COMPLETIONS: _CHAT_CAPS,
    Endpoint.COMPLETIONS: ("max_tokens",),
    Endpoint.EMBEDDINGS: (),
    Endpoint.RESPONSES: ("max_output_tokens",),
    Endpoint.MESSAGES: ("max_tokens",),
}
"""Each endpoint's own names of the cap: one that its engine does not read there would promise what nobody keeps."""
_CAP = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0, le=1 << 31)] | None)
_COUNT = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1, le=128)] | None)
_FIELDS: Final[dict[str, tuple[msgspec.json.Decoder[Any], str]]] = {
    "model": (msgspec.json.Decoder(str), "a string"),
    "stream": (msgspec.json.Decoder(bool | None), "a boolean"),
    "background": (msgspec.json.Decoder(bool | None), "a boolean"),
    "stream_options": (msgspec.json.Decoder(_StreamOptions), "an object whose 'include_usage' is a boolean"),
    "tools": (msgspec.json.Decoder(list[_Tool] | None), "a list of objects whose 'type' is a string"),
    **dict.fromkeys((*_CHAT_CAPS, "max_output_tokens"), (_CAP, "an integer from 0 to 2147483648")),
    **dict.fromkeys(("n", "best_of"), (_COUNT, "an integer from 1 to 128")),
}
_PROMPTS: Final = {Endpoint.COMPLETIONS: "prompt", Endpoint.EMBEDDINGS: "input"}
"""Members that may hold several prompts, each answered for itself."""
_SEVERAL = re.compile(rb'\[\s*["\[]')
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_OWN_TOOLS: Final = frozenset({None, "function", "custom"})


class ParsedRequest(msgspec.Struct, frozen=True):
    """What decisions need to know about a body."""

    model: str
    stream: bool
    include_usage: bool
    """The client asked for the usage of its stream."""
    output_cap: int | None
    """The largest of the caps that the client set, in tokens for each choice."""
    choices: int
    """How many outputs the engine makes, all prompts together."""
    body_bytes: int
    """Without the base64 of media."""
    prompts: int = 1
    tools_bytes: int = 0
    """The part of `body_bytes` that describes tools: templates write it out at greater length."""
    media: tuple[Medium, ...] = ()


def parse_request(body: bytes, endpoint: Endpoint, model: str | None = None) -> ParsedRequest:
    """Read a JSON body; raise a 400 that names the field for anything that cannot be passed on. `model`: the path names it already."""
    members = read_members(body, "The request body")
    if refused := ENGINE_EXTENSIONS.intersection(members):
        raise _unsupported(str(min(refused)))  # a `_Name` cannot be encoded into the answer
    _refuse_state_and_tools_of_the_engine(members, endpoint)
    prompts = _prompts(members, endpoint)
    media = [found for name in ("messages", "input") if name in members and (found := find_media(name, members[name], body)).kinds]
    return ParsedRequest(
        model=_model(members) if model is None else model,
        stream=(_value(members, "stream") or False) and endpoint is not Endpoint.EMBEDDINGS,
        include_usage=_include_usage(members),
        output_cap=_output_cap(members, endpoint),
        choices=prompts * max(_value(members, "n") or 1, _value(members, "best_of") or 1),
        body_bytes=len(body) - sum(found.encoded_bytes for found in media),
        prompts=prompts,
        tools_bytes=sum(len(bytes(members[name])) for name in ("tools", "functions") if name in members),
        media=tuple(kind for found in media for kind in found.kinds),
    )


def _refuse_state_and_tools_of_the_engine(members: dict[str, msgspec.Raw], endpoint: Endpoint) -> None:
    """What an engine keeps is shared by its tenants, what it does in the background is not metered, its tools open connections."""
    if endpoint not in {Endpoint.RESPONSES, Endpoint.MESSAGES}:
        return
    for name in ("previous_response_id", "conversation", "mcp_servers"):
        if name in members and bytes(members[name]) != b"null":
            raise _unsupported(name)
    if _value(members, "background"):
        raise _unsupported("background")
    if any(tool.type not in _OWN_TOOLS for tool in _value(members, "tools") or ()):
        raise invalid_request("Only tools of the kinds 'function' and 'custom' are supported here.", "tools", "unsupported_parameter")


def _prompts(members: dict[str, msgspec.Raw], endpoint: Endpoint) -> int:
    """How many prompts there are: a list of texts or of lists of token ids is several, a list of token ids is one."""
    name = _PROMPTS.get(endpoint, "")
    raw = bytes(members[name]) if name in members else b""
    if not _SEVERAL.match(raw):
        return 1
    try:
        count = len(_LIST.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_request(f"'{name}' is not valid JSON.", name, "invalid_json") from error
    if count > MAX_PROMPTS:
        raise invalid_request(f"'{name}' has more than {MAX_PROMPTS} entries.", name)
    return count


def _output_cap(members: dict[str, msgspec.Raw], endpoint: Endpoint) -> int | None:
    """Raises also for a cap of 0: some engines take it for none. Completions may have it, to score their prompt."""
    caps = {name: cap for name in _CAPS[endpoint] if (cap := _value(members, name)) is not None}
    if endpoint is not Endpoint.COMPLETIONS and 0 in caps.values():
        name = next(name for name, cap in caps.items() if cap == 0)
        raise invalid_request(f"'{name}' must be at least 1.", name)
    return max(caps.values(), default=None)


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
    read_members(bytes(raw), "'stream_options'", "stream_options")
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


def _unsupported(name: str) -> ApiError:
    return invalid_request(f"The parameter '{name}' is not supported here.", name, "unsupported_parameter")
