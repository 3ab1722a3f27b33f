"""Changes a request's JSON body where the contract needs it, and nowhere else: members that stay keep their bytes."""

from dataclasses import dataclass
from typing import Final

import msgspec

from ias.context import RequestContext
from ias.endpoints import TOKENLESS, Endpoint

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE = (ValueError, RecursionError)
_TRUE = msgspec.Raw(b"true")

_CAPS = {
    Endpoint.CHAT_COMPLETIONS: ("max_completion_tokens", "max_tokens"),
    Endpoint.COMPLETIONS: ("max_tokens",),
    Endpoint.RESPONSES: ("max_output_tokens",),
    Endpoint.MESSAGES: ("max_tokens",),
}
"""Members that cap the output; a cap goes into those that the client wrote, else into the first."""

_STREAM_OPTIONS = frozenset({Endpoint.CHAT_COMPLETIONS, Endpoint.COMPLETIONS})


class Changes(msgspec.Struct, frozen=True):
    """What must become of a request's body."""

    include_usage: bool = False
    continuous_usage: bool = False
    model: str | None = None
    output_cap: int = 0

    def __bool__(self) -> bool:
        return self.include_usage or self.continuous_usage or self.model is not None or self.output_cap > 0


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A changed body. `asked_running`: the client itself had asked for usage in every chunk."""

    body: bytes
    asked_running: bool


UNCHANGED: Final = Changes()


def changes_for(context: RequestContext) -> Changes:
    """Read the changes off the context."""
    if context.endpoint in TOKENLESS:
        return UNCHANGED  # its path names the model
    # `stream_options` is refused by engines in requests that do not stream; the other endpoints always report usage.
    options = context.stream and context.endpoint in _STREAM_OPTIONS
    return Changes(
        include_usage=context.add_usage and options,
        continuous_usage=context.continuous_usage and options,
        model=context.upstream_model if context.writes_model or context.upstream_model != context.model else None,
        output_cap=context.output_cap if context.endpoint in _CAPS else 0,
    )


def rewrite(body: bytes, changes: Changes, endpoint: Endpoint) -> Rewritten | None:
    """Return the body with the changes made; None when it is not a JSON object.

    extauth has read the same bytes before, so None means that somebody else made them: they pass, and the engine refuses them.
    """
    asked_running = False
    try:
        members = _members.decode(body)
        if changes.include_usage or changes.continuous_usage:
            options = _options(members.get("stream_options"))
            # Without `include_usage` it is without effect.
            asked_running = options.pop("continuous_usage_stats", None) == _TRUE and not changes.include_usage
            if changes.include_usage:
                options["include_usage"] = _TRUE
            if changes.continuous_usage or asked_running:
                options["continuous_usage_stats"] = _TRUE
            members["stream_options"] = _raw(options)
    except _UNREADABLE:
        return None
    if changes.model is not None:
        members["model"] = _raw(changes.model)
    if changes.output_cap:
        names = _CAPS[endpoint]
        cap = _raw(changes.output_cap)
        members |= dict.fromkeys([name for name in names if name in members and bytes(members[name]) != b"null"] or names[:1], cap)
    return Rewritten(msgspec.json.encode(members), asked_running)


def _options(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    return {} if raw is None or bytes(raw) == b"null" else _members.decode(raw)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
