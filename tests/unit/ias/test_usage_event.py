"""The usage event: what is on the wire, and what a consumer accepts of writers before and after it."""

import json

import msgspec
import pytest

from ias.endpoints import Endpoint
from ias.usage_event import Outcome, RequestRecorded, UsageSource, decode, encode

REQUIRED = {
    "event_id": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    "org_id": "org",
    "user_id": "user",
    "key_id": "key",
    "publication_id": "pub",
    "model": "llama",
    "upstream_model": "meta/llama",
    "endpoint": "chat_completions",
    "stream": True,
    "outcome": "complete",
    "ended_at_ms": 1_645_557_743_000,
    "request_id": "req-1",
}
"""What the first version 1 writer wrote, no more: to be readable for ever."""


def test_the_first_version_is_readable() -> None:
    event = decode(json.dumps(REQUIRED).encode())
    assert (event.endpoint, event.outcome, event.usage_source) == (Endpoint.CHAT_COMPLETIONS, Outcome.COMPLETE, UsageSource.ESTIMATED)
    assert event.admitted_at_ms == 0x017F22E279B0


def test_what_is_nested_without_end_is_refused_like_any_other_nonsense() -> None:
    with pytest.raises(ValueError, match="nested"):
        decode(b'{"later":' + b"[" * 100_000)


def test_no_field_was_made_required_later() -> None:
    assert {field.name for field in msgspec.structs.fields(RequestRecorded) if field.required} == set(REQUIRED)


def test_the_wire_is_plain_json() -> None:
    written = json.loads(encode(decode(json.dumps(REQUIRED).encode())))
    assert written == REQUIRED | {
        "http_status": 0,
        "input_tokens": 0,
        "cached_input_tokens": 0,
        "output_tokens": 0,
        "reasoning_tokens": 0,
        "usage_source": "estimated",
        "held_tokens": 0,
        "time_to_first_token_ms": None,
        "duration_ms": 0,
        "tags": {},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"event_id": "no uuid"},
        {"event_id": "2f1b6a52-3f0c-4a53-9d0c-3f1f5f0a1b2c"},
        {"outcome": "fine"},
        {"endpoint": "poetry"},
        {"input_tokens": "3"},
        {"stream": None},
    ],
    ids=["not a UUID", "not a UUIDv7", "outcome", "endpoint", "count", "stream"],
)
def test_what_no_writer_wrote_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- msgspec words it, the type is the promise
        decode(json.dumps(REQUIRED | change).encode())


@pytest.mark.parametrize("name", REQUIRED)
def test_what_lacks_a_field_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        decode(json.dumps({key: value for key, value in REQUIRED.items() if key != name}).encode())
