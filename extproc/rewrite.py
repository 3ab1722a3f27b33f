"""Changes a request's JSON body where the contract needs it, and nowhere else: members that stay keep their bytes."""

import msgspec

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE = (ValueError, RecursionError)


def rewrite(body: bytes, *, include_usage: bool, model: str | None) -> bytes | None:
    """Return the body with usage asked for and the model renamed (None: neither); None when it is not a JSON object.

    extauth has read the same bytes before, so None means that somebody else made them: they pass, and the engine refuses them.
    """
    try:
        members = _members.decode(body)
        if include_usage:
            members["stream_options"] = _raw(_with_usage(members.get("stream_options")))
    except _UNREADABLE:
        return None
    if model is not None:
        members["model"] = _raw(model)
    return msgspec.json.encode(members)


def _with_usage(options: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    members = {} if options is None or bytes(options) == b"null" else _members.decode(options)
    # Without effect before, as the client had not asked for usage; with it, every chunk would change.
    members.pop("continuous_usage_stats", None)
    members["include_usage"] = msgspec.Raw(b"true")
    return members


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
