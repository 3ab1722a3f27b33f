from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest

from controlplane.sign_in.tokens import Claims, Tokens

SECRET = "s" * 32
TOKENS = Tokens(SECRET, timedelta(hours=8))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
END = NOW + timedelta(days=1)
CLAIMS = Claims(UUID("0198c0de-0000-7000-8000-000000000000"), UUID("0198c0de-0000-7000-8000-000000000001"))
VALID = {"iss": "ias", "sub": str(CLAIMS.user_id), "sid": str(CLAIMS.session_id), "iat": NOW, "exp": NOW + timedelta(hours=1)}


def test_a_token_is_read_back_until_it_ends() -> None:
    token, expires_at = TOKENS.issue(CLAIMS, NOW, END)
    assert expires_at == NOW + timedelta(hours=8)
    assert TOKENS.read(token, expires_at - timedelta(microseconds=1)) == CLAIMS
    assert TOKENS.read(token, expires_at) is None


def test_a_token_ends_with_its_session_at_the_latest() -> None:
    soon = NOW + timedelta(minutes=5)
    token, expires_at = TOKENS.issue(CLAIMS, NOW, soon)
    assert expires_at == soon
    assert TOKENS.read(token, soon) is None


def test_the_handmade_token_of_the_cases_below_would_be_valid() -> None:
    assert TOKENS.read(jwt.encode(VALID, SECRET, "HS256"), NOW) == CLAIMS


@pytest.mark.parametrize("missing", ["iss", "sub", "sid", "iat", "exp"])
def test_a_token_without_one_of_its_claims_is_none(missing: str) -> None:
    payload = {name: value for name, value in VALID.items() if name != missing}
    assert TOKENS.read(jwt.encode(payload, SECRET, "HS256"), NOW) is None


@pytest.mark.parametrize("change", [{"iss": "else"}, {"sub": "root"}, {"sid": "x"}, {"sid": None}, {"sid": 7}, {"exp": 10**20}, {"exp": 0}])
def test_a_token_that_says_something_odd_is_none(change: dict[str, object]) -> None:
    assert TOKENS.read(jwt.encode({**VALID, **change}, SECRET, "HS256"), NOW) is None


def test_a_token_of_another_secret_or_algorithm_is_none() -> None:
    assert TOKENS.read(jwt.encode(VALID, "t" * 32, "HS256"), NOW) is None
    assert TOKENS.read(jwt.encode(VALID, "s" * 64, "HS512"), NOW) is None
    assert TOKENS.read(jwt.encode(VALID, None, "none"), NOW) is None


@pytest.mark.parametrize("text", ["", "a.b.c", "é", "a" * 3000])
def test_what_is_no_token_is_none(text: str) -> None:
    assert TOKENS.read(text, NOW) is None


def test_the_secret_is_not_in_the_representation() -> None:
    assert SECRET not in repr(TOKENS)
