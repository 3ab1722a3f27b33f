"""The usage event `RequestRecorded` v1: every admitted request ends as exactly one.

CloudEvents 1.0. `event_id` (`ce_id`) is the reservation id, a UUIDv7 made from the store's clock at admission; budget
period, ledger partition and `ce_time` all come from it. Additive changes only: a reader skips fields it does not know
and a new field has a default, so that versions before and after read each other (rolling upgrades).
"""

import re
from enum import StrEnum

import msgspec

from ias.endpoints import Endpoint

TYPE = "ias.usage.request_recorded.v1"
TOPIC = "ias.usage.v1"
DEAD_TOPIC = "ias.usage.dead.v1"
"""What the ledger can never keep, with the reason in the header `ias_reason`."""
SOURCE = "/ias/extproc"


class Outcome(StrEnum):
    """How the request ended."""

    COMPLETE = "complete"
    CLIENT_ABORT = "client_abort"
    UPSTREAM_ERROR = "upstream_error"
    LOST = "lost"
    """Nobody saw the end (a process was killed). A later event with the same id and another outcome replaces it."""


class UsageSource(StrEnum):
    """Where the token counts come from."""

    REPORTED = "reported"
    """The engine's own usage object."""
    COUNTED = "counted"
    """Output deltas that passed, because the end with the usage object never came."""
    ESTIMATED = "estimated"
    """Nothing countable passed."""


class RequestRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """One admitted request and what it used. `cached_input_tokens` and `reasoning_tokens` are subsets, not addends."""

    event_id: str
    org_id: str
    user_id: str
    key_id: str
    publication_id: str
    model: str
    upstream_model: str
    endpoint: Endpoint
    stream: bool
    outcome: Outcome
    http_status: int = 0
    """Status of the answer; 0 when none began."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    usage_source: UsageSource = UsageSource.ESTIMATED
    held_tokens: int = 0
    time_to_first_token_ms: int | None = None
    duration_ms: int = 0
    ended_at_ms: int
    request_id: str
    tags: dict[str, str] = {}

    @property
    def admitted_at_ms(self) -> int:
        """Time of admission on the store's clock, from the id (its first 48 bits; `decode` has made sure that it is a UUIDv7)."""
        return int(self.event_id[:8] + self.event_id[9:13], 16)


_UUID7 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RequestRecorded)


def encode(event: RequestRecorded) -> bytes:
    """Return the event's JSON: the `data` of the CloudEvent."""
    return _encoder.encode(event)


def decode(data: bytes) -> RequestRecorded:
    """Read an event of any v1 writer; raise ValueError for anything else (msgspec's errors are ValueErrors)."""
    try:
        event = _decoder.decode(data)
    except RecursionError:
        raise ValueError("the event is nested too deeply") from None
    if not _UUID7.fullmatch(event.event_id):
        raise ValueError("the event id is not a UUIDv7")
    return event
