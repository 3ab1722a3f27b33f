"""The signed context, for any content: what was signed comes back, and nothing that was altered does."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ias.context import ContextError, RequestContext, SigningKeys, sign, verify
from tests.support.contexts import contexts

KEYS = SigningKeys("k1", {"k1": b"1" * 32})


def read(header: str, context: RequestContext) -> RequestContext:
    return verify(header, KEYS, context.request_id, context.path, context.signed_at_ms)


@given(contexts)
def test_round_trip(context: RequestContext) -> None:
    header = sign(context, KEYS)
    assert read(header, context) == context
    assert header.isascii()
    assert header.isprintable()


@given(contexts, st.data())
def test_any_change_of_a_character_is_refused(context: RequestContext, data: st.DataObject) -> None:
    header = sign(context, KEYS)
    at = data.draw(st.integers(0, len(header) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda char: char != header[at]))
    with pytest.raises(ContextError):
        read(header[:at] + other + header[at + 1 :], context)


@given(contexts, st.data())
def test_any_flipped_bit_of_the_payload_is_refused(context: RequestContext, data: st.DataObject) -> None:
    version, kid, payload, mac = sign(context, KEYS).split(".")
    raw = bytearray(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    forged = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    with pytest.raises(ContextError, match="wrong signature"):
        read(f"{version}.{kid}.{forged}.{mac}", context)


@given(st.text(), contexts)
def test_any_other_text_is_refused(header: str, context: RequestContext) -> None:
    with pytest.raises(ContextError):
        read(header, context)
