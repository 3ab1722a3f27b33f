"""Changing a request's body."""

import pytest

from extproc.rewrite import Changes, Rewritten, changes_for, rewrite
from ias.endpoints import Endpoint
from tests.support.ext_proc import some_context

CHAT = Endpoint.CHAT_COMPLETIONS


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
    assert rewrite(before, Changes(include_usage=True), CHAT) == Rewritten(after, asked_running=False)


@pytest.mark.parametrize(
    ("asked", "add_usage", "running"),
    [
        (b'{"include_usage":true}', False, False),
        (b'{"include_usage":true,"continuous_usage_stats":true}', False, True),
        (b'{"include_usage":true,"continuous_usage_stats":false}', False, False),
        (b'{"continuous_usage_stats":true}', True, False),
        (b"null", True, False),
    ],
)
def test_usage_in_every_chunk_is_asked_for_and_whether_the_client_had(asked: bytes, add_usage: bool, running: bool) -> None:
    changed = rewrite(b'{"stream_options":' + asked + b"}", Changes(include_usage=add_usage, continuous_usage=True), CHAT)
    assert changed == Rewritten(b'{"stream_options":{"include_usage":true,"continuous_usage_stats":true}}', running)


@pytest.mark.parametrize(
    ("endpoint", "before", "after"),
    [
        (CHAT, b"{}", b'{"max_completion_tokens":7}'),
        (CHAT, b'{"max_tokens":9,"a":1}', b'{"max_tokens":7,"a":1}'),
        (CHAT, b'{"max_completion_tokens":9}', b'{"max_completion_tokens":7}'),
        (CHAT, b'{"max_completion_tokens":9,"max_tokens":3}', b'{"max_completion_tokens":7,"max_tokens":7}'),
        (CHAT, b'{"max_tokens":null}', b'{"max_tokens":null,"max_completion_tokens":7}'),
        (Endpoint.COMPLETIONS, b"{}", b'{"max_tokens":7}'),
        (Endpoint.RESPONSES, b'{"max_tokens":1}', b'{"max_tokens":1,"max_output_tokens":7}'),
        (Endpoint.MESSAGES, b'{"max_tokens":9}', b'{"max_tokens":7}'),
    ],
)
def test_a_cap_goes_into_the_clients_own_member_or_the_endpoints_first(endpoint: Endpoint, before: bytes, after: bytes) -> None:
    changed = rewrite(before, Changes(output_cap=7), endpoint)
    assert changed is not None
    assert changed.body == after


def test_the_model_is_renamed_and_everything_else_keeps_its_spelling() -> None:
    before = b'{ "t": 1e0,\n "model":"a", "big": 123456789012345678901234567890, "s": "\\u00e9\\/" }'
    changed = rewrite(before, Changes(model='b"'), CHAT)
    assert changed is not None
    assert changed.body == b'{"t":1e0,"model":"b\\"","big":123456789012345678901234567890,"s":"\\u00e9\\/"}'


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"stream_options": 3}', b"[" * 100_000])
def test_what_is_not_such_an_object_is_left_alone(body: bytes) -> None:
    assert rewrite(body, Changes(include_usage=True, model="b"), CHAT) is None


@pytest.mark.parametrize("endpoint", [Endpoint.RESPONSES, Endpoint.MESSAGES, Endpoint.EMBEDDINGS])
def test_only_chats_and_completions_know_stream_options(endpoint: Endpoint) -> None:
    assert not changes_for(some_context(endpoint=endpoint, add_usage=True, continuous_usage=True))


def test_embeddings_have_no_output_to_cap() -> None:
    assert not changes_for(some_context(endpoint=Endpoint.EMBEDDINGS, stream=False, output_cap=7))


def test_a_request_that_does_not_stream_has_no_stream_options() -> None:
    assert not changes_for(some_context(stream=False, add_usage=True, continuous_usage=True))
