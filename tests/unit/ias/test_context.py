"""The signed context: what is refused, and how versions before and after read each other."""

import base64
import dataclasses
from typing import Any

import msgspec
import pytest

from ias.context import LIFETIME_MS, ContextError, RequestContext, SigningKeys, decode, encode, sign, verify
from ias.endpoints import Endpoint

NOW_MS = 1_780_000_000_000
KEYS = SigningKeys("k2", {"k1": b"1" * 32, "k2": b"2" * 32})
CONTEXT = RequestContext(
    reservation_id="019e0000-0000-7000-8000-000000000000",
    request_id="req-1",
    path="/v1/chat/completions",
    signed_at_ms=NOW_MS,
    org_id="org",
    user_id="user",
    key_id="key",
    publication_id="pub",
    model="llama",
    upstream_model="meta/llama",
    endpoint=Endpoint.CHAT_COMPLETIONS,
    stream=True,
    add_usage=True,
    tags={"team": "a"},
)
GOLDEN_OF_BEFORE = (
    "1.k2.ntkkMDE5ZTAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAwpXJlcS0xtC92MS9jaGF0L2NvbXBsZXRpb25zzwAAAZ5wRIgAo29yZ"
    "6R1c2Vyo2tleaNwdWKlbGxhbWGqbWV0YS9sbGFtYbBjaGF0X2NvbXBsZXRpb25zw8OBpHRlYW2hYQ.U4Htn4N76_y5MU-YLI5veg"
)
"""Signed before fields were appended behind the tags."""
GOLDEN_WITHOUT_WRITES_MODEL = (
    "1.k2.3AAX2SQwMTllMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDClcmVxLTG0L3YxL2NoYXQvY29tcGxldGlvbnPPAAABnnBEiACjb3JnpH"
    "VzZXKja2V5o3B1YqVsbGFtYaptZXRhL2xsYW1hsGNoYXRfY29tcGxldGlvbnPDw4GkdGVhbaFhAADDqGJhbGFuY2VkAAEAAMI.DinL4zaauovLnxSjq"
    "L2bQw"
)
"""Signed by the version before."""
GOLDEN = (
    "1.k2.3AAY2SQwMTllMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDClcmVxLTG0L3YxL2NoYXQvY29tcGxldGlvbnPPAAABnnBEiACjb3Jn"
    "pHVzZXKja2V5o3B1YqVsbGFtYaptZXRhL2xsYW1hsGNoYXRfY29tcGxldGlvbnPDw4GkdGVhbaFhAADDqGJhbGFuY2VkAAEAAMLC.WyU3UCbTv_lEydl6"
    "HWEI3A"
)


def read(
    header: str, keys: SigningKeys = KEYS, request_id: str = "req-1", path: str = "/v1/chat/completions", now_ms: int = NOW_MS
) -> RequestContext:
    return verify(header, keys, request_id, path, now_ms)


def test_a_context_that_was_signed_once_stays_readable() -> None:
    """Version 1 on the wire: extauth and extproc are of different releases during every upgrade."""
    assert sign(CONTEXT, KEYS) == GOLDEN
    assert read(GOLDEN) == read(GOLDEN_WITHOUT_WRITES_MODEL) == read(GOLDEN_OF_BEFORE) == CONTEXT


def test_the_previous_key_is_accepted_and_a_retired_one_is_not() -> None:
    header = sign(CONTEXT, dataclasses.replace(KEYS, current="k1"))
    assert read(header) == CONTEXT
    with pytest.raises(ContextError, match="unknown signing key"):
        read(header, SigningKeys("k2", {"k2": b"2" * 32}))


def test_the_same_key_id_with_another_key_is_a_forgery() -> None:
    with pytest.raises(ContextError, match="wrong signature"):
        read(sign(CONTEXT, SigningKeys("k2", {"k2": b"x" * 32})))


@pytest.mark.parametrize("age_ms", [-LIFETIME_MS, 0, LIFETIME_MS])
def test_it_is_valid_within_its_lifetime(age_ms: int) -> None:
    assert read(GOLDEN, now_ms=NOW_MS + age_ms) == CONTEXT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"now_ms": NOW_MS + LIFETIME_MS + 1}, "too old"),
        ({"now_ms": NOW_MS - LIFETIME_MS - 1}, "too old"),
        ({"request_id": "req-2"}, "another request"),
        ({"path": "/v1/completions"}, "another request"),
    ],
    ids=["old", "from the future", "another id", "another path"],
)
def test_elsewhere_it_is_of_no_use(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ContextError, match=reason):
        read(GOLDEN, **change)


@pytest.mark.parametrize(
    "header",
    ["", ".", "1", "1.k2", "1.k2.", "1.k2..", "2" + GOLDEN[1:], GOLDEN + ".", GOLDEN + "A", "1.k2.%%.%%", "1.\udcff.x.y", "1.ü.x.y", "x" * 9000],
)
def test_garbage_is_refused(header: str) -> None:
    with pytest.raises(ContextError):
        read(header)


def signed_array(fields: list[Any]) -> str:
    """A header of another version of the writer: other fields, same signature."""
    payload = base64.urlsafe_b64encode(msgspec.msgpack.encode(fields)).rstrip(b"=").decode()
    return sign_text(f"1.k2.{payload}")


def sign_text(signed: str) -> str:
    import hmac

    mac = hmac.digest(b"2" * 32, signed.encode(), "sha256")[:16]
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


FIELDS = list(msgspec.structs.astuple(CONTEXT))
REQUIRED = sum(field.required for field in msgspec.structs.fields(RequestContext))


def test_a_newer_writer_that_appends_a_field_is_readable() -> None:
    assert read(signed_array([*FIELDS, "of tomorrow", 5])) == CONTEXT


def test_an_older_writer_without_the_last_field_is_readable() -> None:
    newest = msgspec.structs.replace(CONTEXT, writes_model=True)
    assert read(signed_array(list(msgspec.structs.astuple(newest))[:-1])) == CONTEXT


@pytest.mark.parametrize(
    "fields", [[], FIELDS[: REQUIRED - 1], [None] * len(FIELDS), "text", {"a": 1}], ids=["empty", "short", "types", "text", "map"]
)
def test_a_well_signed_payload_of_another_shape_is_malformed(fields: Any) -> None:
    with pytest.raises(ContextError, match="malformed"):
        read(signed_array(fields))


def test_fields_that_may_be_appended_have_defaults() -> None:
    """A reader meets writers without the field: every field behind `add_usage`, the last of version 1, needs a default."""
    names = [field.name for field in msgspec.structs.fields(RequestContext)]
    appended = msgspec.structs.fields(RequestContext)[names.index("add_usage") + 1 :]
    assert appended
    assert not [field.name for field in appended if field.required]


def test_a_claim_is_completed_with_its_reservation() -> None:
    claim = encode(msgspec.structs.replace(CONTEXT, reservation_id=""))
    assert decode(claim, CONTEXT.reservation_id) == CONTEXT
    with pytest.raises(ContextError, match="malformed"):
        decode(b"\xc1", CONTEXT.reservation_id)


@pytest.mark.parametrize(
    ("current", "keys", "reason"),
    [
        ("k3", {"k1": b"1" * 32}, "not among the keys"),
        ("k1", {"k1": b"1" * 31}, "at least 32 bytes"),
        ("a.b", {"a.b": b"1" * 32}, "letters and digits"),
    ],
)
def test_signing_keys_that_cannot_work_are_refused(current: str, keys: dict[str, bytes], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        SigningKeys(current, keys)


def test_signing_keys_are_not_in_their_repr() -> None:
    assert "2222" not in repr(KEYS)
