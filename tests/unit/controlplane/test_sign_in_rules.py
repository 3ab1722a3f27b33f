"""Secrets of sign-in."""

from controlplane.ids import new_id
from controlplane.sign_in.rules import csrf_token, digest, is_csrf_token, new_secret


def test_secrets_are_long_differ_and_are_kept_as_a_digest() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(digest(secret)) for secret in made} == {32}
    assert len(digest("\ud800" * 10_000)) == 32


def test_the_token_against_foreign_writes_belongs_to_one_session_and_one_service() -> None:
    session = new_id()
    token = csrf_token("key", session)
    assert is_csrf_token(token, "key", session)
    for given, key, other in ((token, "another key", session), (token, "key", new_id()), ("", "key", session), ("é\ud800", "key", session)):
        assert not is_csrf_token(given, key, other)
