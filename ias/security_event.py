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
    if event.org_id is not None:
        uuid.UUID(event.org_id)
    return event
