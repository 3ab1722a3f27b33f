"""One org with one key and one model, in memory; each test changes what it is about."""

from datetime import UTC, datetime
from typing import Any

from extauth.decision import Policy
from extauth.incoming import Incoming
from extauth.publications import PublicationIndex
from extauth.records import KnownCredential
from ias.apikeys import ApiKey, new_key
from ias.context import SigningKeys
from ias.gateway_views import Credential, Publication
from tests.support.checks import CHAT

PEPPER = b"p" * 32
PEPPERS = {1: PEPPER}
POLICY = Policy(PEPPERS, SigningKeys("k", {"k": b"s" * 32}), max_body_bytes=1_000, output_cap=4_096, top_up_tokens=256)
KEY = new_key()
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def credential(key: ApiKey = KEY, **changes: Any) -> Credential:
    fields: dict[str, Any] = {
        "credential_id": key.credential_id,
        "digest": key.digest(PEPPER),
        "pepper_version": 1,
        "valid_until": None,
        "key_id": "key-1",
        "key_active": True,
        "key_expires_at": None,
        "user_id": "user-1",
        "user_active": True,
        "org_id": "org-1",
        "org_active": True,
        "allowed_models": (),
    }
    return Credential(**(fields | changes))


def known(**changes: Any) -> KnownCredential:
    return KnownCredential.of(credential(**changes))


def publication(model: str = "small", **changes: Any) -> Publication:
    fields: dict[str, Any] = {
        "publication_id": f"pub-{model}",
        "model": model,
        "upstream_model": f"engine/{model}",
        "allowed_org_ids": ("org-1",),
        "created_at": NOW,
    }
    return Publication(**(fields | changes))


def index(*publications: Publication) -> PublicationIndex:
    made = PublicationIndex()
    made.replace(publications or (publication(),))
    return made


def incoming(body: bytes = CHAT, target: str = "/v1/chat/completions", method: str = "POST", **headers: str) -> Incoming:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Incoming(method, target, {"authorization": f"Bearer {KEY.text}", "x-request-id": "req-1", **named}, body)
