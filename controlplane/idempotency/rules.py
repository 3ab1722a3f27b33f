"""What an idempotency key is, what of an answer is kept for it, and what a repeated request gets. Pure.

After draft-ietf-httpapi-idempotency-key-header: a request that went well is remembered for a day; one that failed is not, it may be
sent again. An answer that showed a secret is remembered without its body.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from controlplane.audit.rules import is_secret
from controlplane.errors import Problem

HEADER = "idempotency-key"
LIFETIME = timedelta(hours=24)
CLAIM = timedelta(minutes=2)
"""After so long a request that never ended is taken for dead; longer than any request may take."""
KEPT_HEADERS = ("content-type", "etag", "location")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Request:
    """A request under a key: whose, to what, and what it says."""

    user_id: UUID
    action: str
    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What is kept of an answer. `body` is None when it showed a secret; then `made_id` says what was made."""

    status: int
    headers: Mapping[str, str]
    body: str | None
    made_id: str | None


def check_key(key: str) -> str:
    """Return a key that can be one; raise Problem 400."""
    if not _KEY.fullmatch(key):
        raise Problem(400, "invalid_idempotency_key", "Idempotency-Key has 1 to 255 visible ASCII characters: a UUID, for example.")
    return key


def digest_of(target: str, body: bytes) -> bytes:
    """Fingerprint of a request: its path with the query, and its body."""
    return hashlib.sha256(b"%d %b%b" % (len(target.encode()), target.encode(), body)).digest()


def kept(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Return what to keep of an answer."""
    content = json.loads(body) if body else None
    made_id = str(content["id"]) if isinstance(content, dict) and "id" in content else None
    shown = None if shows_secret(content) else body.decode()
    return Answer(status, {name: headers[name] for name in KEPT_HEADERS if name in headers}, shown, made_id)


def shows_secret(content: Any) -> bool:
    """Whether a field at any depth is named like a secret and is filled."""
    if isinstance(content, Mapping):
        return any((is_secret(name) and isinstance(value, str)) or shows_secret(value) for name, value in content.items())
    return isinstance(content, list) and any(shows_secret(item) for item in content)


def in_use() -> Problem:
    """The first request under the key still runs."""
    return Problem(409, "idempotency_key_in_use", "A request with this Idempotency-Key is running: wait for it.", headers={"retry-after": "1"})


def reused() -> Problem:
    """The key was used for something else."""
    return Problem(422, "idempotency_key_reused", "This Idempotency-Key was used for another request: make a new key for each.")


def already_shown(answer: Answer) -> Problem:
    """What was asked for is done; its secret is not shown twice."""
    return Problem(
        409,
        "secret_already_shown",
        "This request was done before, and its secret was shown then. It cannot be shown again: if it is lost, make another one.",
        made_id=answer.made_id,
    )
