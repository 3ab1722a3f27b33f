import json

import pytest

from controlplane.audit.rules import Attempt, Outcome, outcome_of, redact, targets_of


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Password",
        "initialPassword",
        "apiKey",
        "api_key",
        "X-Api-Key",
        "token",
        "accessToken",
        "clientSecret",
        "credentials",
        "authorization",
    ],
)
def test_the_value_of_a_secret_is_masked_at_any_depth(name: str) -> None:
    masked = json.dumps(redact({"a": [{name: "hidden"}], name: {"b": "hidden"}}))
    assert "hidden" not in masked
    assert "***" in masked


def test_what_only_sounds_like_a_secret_is_kept() -> None:
    kept = {"rateLimiting": {"tokensPerHour": 5}, "authentication": {"requireApiKey": True}, "name": "laptop"}
    assert redact(kept) == kept


def test_everything_becomes_something_that_jsonb_takes() -> None:
    odd = {"a\x00": "b\x00", "c": float("inf"), "d": "\ud800", "e": (1, 2.5, None, True), "f": {1: object}}
    text = json.dumps(redact(odd), allow_nan=False, ensure_ascii=False)
    assert "\x00" not in text
    text.encode()


def test_a_stranger_cannot_make_the_row_large() -> None:
    wide = {f"k{n}": "x" * 10_000 for n in range(1000)}
    assert len(json.dumps(redact(wide))) < 110_000
    deep: object = "end"
    for _ in range(200):
        deep = [deep]
    assert "end" not in json.dumps(redact(deep))


def test_the_request_itself_is_not_changed() -> None:
    body = {"password": "kept here"}
    redact(body)
    assert body == {"password": "kept here"}


@pytest.mark.parametrize(
    ("status", "outcome"), [(401, Outcome.DENIED), (403, Outcome.DENIED), (404, Outcome.FAILED), (422, Outcome.FAILED), (500, Outcome.FAILED)]
)
def test_refused_for_want_of_rights_is_denied_and_all_else_failed(status: int, outcome: Outcome) -> None:
    assert outcome_of(status) is outcome


def test_targets_are_what_the_path_names_and_every_id_that_the_service_told() -> None:
    attempt = Attempt(
        "key.bulk_revoke", named=("acme",), payload={"org_id": "o", "key_ids": ["k2", "k1"], "count": 2, "kids": ["x"], "note_ids": "y"}
    )
    assert targets_of(attempt) == ["acme", "k1", "k2", "o"]
