"""The security event `RequestsRefused` v1: how often the gateway refused one kind of request in one minute.

Counts, not requests: who is refused never chooses how much is written. CloudEvents 1.0; `event_id` (`ce_id`) is a UUIDv7 of the
time when it was written. Additive changes only, as with the usage event.
"""

import uuid

import msgspec

from ias.ids import uuid7_ms

TYPE = "ias.security.requests_refused.v1"
TOPIC = "ias.security.v1"
SOURCE = "/ias/extauth"
SUFFIX = ".security"
"""Of the files by which extauth hands its events over on one machine: one event a line, complete from the moment it is seen."""


MOST_SAMPLES = 10
"""Of one event: the latest."""


class LimitSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A limit as it stood when a request was refused."""

    name: str
    unit: str
    capacity: int
    remaining: int
    retry_ms: int = 0
    """0: this one would have let the request pass; -1: it never will."""
    dry_run: bool = False


class RefusedRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the refused requests, so that who looks for it finds it and the reason. Only of keys that are known."""

    request_id: str
    at_ms: int
    user_id: str
    key_id: str
    method: str
    path: str
    message: str
    """What the client was told."""
    model: str | None = None
    limits: tuple[LimitSeen, ...] = ()


class RequestsRefused(msgspec.Struct, frozen=True, kw_only=True):
    """Refusals that are alike."""

    event_id: str
    minute_ms: int
    """Begin of the minute, Unix time."""
    status: int
    code: str
    """The error's code in the catalogue (`ias.errors`)."""
    org_id: str | None = None
    """None: nobody knows whose request it was."""
    credential: str | None = None
    """The public part of the API key, if the request had one in the right form."""
    address: str | None = None
    """The client's network: an IPv4 /24 or an IPv6 /48."""
    overflow: bool = False
    """There were more different ones in the minute than are told apart: these are all others of this status, code and org together."""
    requests: int
    samples: tuple[RefusedRequest, ...] = ()
    """The latest of them, at most `MOST_SAMPLES`; none of requests that nobody's key made."""


_LATEST_MS = 1 << 47
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RequestsRefused)


def encode(event: RequestsRefused) -> bytes:
    """Return the event's JSON, in one line."""
    return _encoder.encode(event)


def decode(data: bytes) -> RequestsRefused:
    """Read an event of any v1 writer; raise ValueError for anything else."""
    try:
        event = _decoder.decode(data)
    except RecursionError:
        raise ValueError("the event is nested too deeply") from None
    uuid7_ms(uuid.UUID(event.event_id))
    if not 0 <= event.minute_ms < _LATEST_MS or "\0" in event.code + (event.credential or "") + (event.address or ""):
        raise ValueError("no time that a calendar has, or no text that a database keeps")
    if any(not 0 <= sample.at_ms < _LATEST_MS for sample in event.samples):
        raise ValueError("no time that a calendar has")
    for value in (event.org_id, *(value for sample in event.samples for value in (sample.user_id, sample.key_id))):
        if value is not None:
            uuid.UUID(value)
    return event
