"""Changing a request's body."""

import pytest

from extproc.rewrite import rewrite


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"a": 1}', b'{"a":1,"stream_options":{"include_usage":true}}'),
        (b'{"stream_options":null,"a":1}', b'{"stream_options":{"include_usage":true},"a":1}'),
        (b'{"stream_options":{"include_usage":false,"x":[1, 2]}}', b'{"stream_options":{"include_usage":true,"x":[1, 2]}}'),
        # Only with usage does it do anything, and the client has not asked for usage.
        (b'{"stream_options":{"continuous_usage_stats":true}}', b'{"stream_options":{"include_usage":true}}'),
    ],
)
def test_usage_is_asked_for(before: bytes, after: bytes) -> None:
    assert rewrite(before, include_usage=True, model=None) == after


def test_the_model_is_renamed_and_everything_else_keeps_its_spelling() -> None:
    before = b'{ "t": 1e0,\n "model":"a", "big": 123456789012345678901234567890, "s": "\\u00e9\\/" }'
    assert rewrite(before, include_usage=False, model='b"') == b'{"t":1e0,"model":"b\\"","big":123456789012345678901234567890,"s":"\\u00e9\\/"}'


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"stream_options": 3}', b"[" * 100_000])
def test_what_is_not_such_an_object_is_left_alone(body: bytes) -> None:
    assert rewrite(body, include_usage=True, model="b") is None
