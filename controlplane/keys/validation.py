"""Whether a key is good, for whoever holds it. No sign-in is needed, so the answer must help nobody who only guesses.

A text that is no key at all is refused at once: its form and checksum are public. Every other one costs the same read and the same
digest, whether the key is unknown, has another secret, or has ended; and one address may not ask often.
"""

import hashlib
import math
import time
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.client_address import block_of
from controlplane.errors import Problem
from controlplane.keys.pace import Pace, ask
from controlplane.keys.repository import KeyRepository
from controlplane.keys.rules import KeyRules
from controlplane.keys.schemas import ValidationView, ValidKeyView
from controlplane.repository import EVERYTHING
from controlplane.sign_in.back_off import Counted, Record
from controlplane.sign_in.repository import AttemptRepository
from controlplane.unit_of_work import UnitOfWork, unit_of_work
from ias.apikeys import parse_key
from ias.model_patterns import is_allowed

_INVALID = ValidationView(valid=False)
_NO_DIGEST = bytes(32)


async def check_pace(engine: AsyncEngine, pace: Pace, address: str) -> None:
    """Raise Problem 429 for an address that asks too often, at whichever replica."""
    block = block_of(address)
    wait_s = pace.refused_s(block, time.monotonic())
    if wait_s == 0:
        wait_s = await _ask(engine, block, pace.per_minute)
        if wait_s > 0:
            pace.refuse(block, time.monotonic() + wait_s)
    if wait_s > 0:
        seconds = math.ceil(wait_s)
        raise Problem(
            429,
            "too_many_attempts",
            f"Too many keys were checked from your address. Try again in {seconds} s.",
            headers={"retry-after": str(seconds)},
        )


async def _ask(engine: AsyncEngine, block: str, per_minute: int) -> float:
    now, subject = datetime.now(UTC), {Counted.ADDRESS: hashlib.sha256(f"validate-api-key\0{block}".encode()).digest()}
    async with unit_of_work(engine) as uow:
        attempts = AttemptRepository(uow, EVERYTHING)
        wait_s, paid_off = ask((await attempts.records(subject, now))[Counted.ADDRESS].not_before, now, per_minute)
        if wait_s == 0:
            await attempts.store(subject, {Counted.ADDRESS: Record(0, paid_off)}, now)
    return wait_s


async def validate(uow: UnitOfWork, text: str, key_rules: KeyRules) -> ValidationView:
    """Say whether the gateway would take a key now and, if so, what the key may use. Raises Problem 503 when a pepper is not configured here."""
    if (key := parse_key(text)) is None:
        return _INVALID
    repository = KeyRepository(uow, EVERYTHING)
    known = await repository.seen_by_gateway(key.credential_id)
    version, pepper = key_rules.current_pepper
    if known is not None and known.pepper_version != version and (pepper := key_rules.peppers.get(known.pepper_version, b"")) == b"":
        raise Problem(503, "service_unavailable", "The key cannot be checked here: a secret of the service is not configured.")
    matches = key.matches(_NO_DIGEST if known is None else known.digest, pepper)
    if known is None or not (matches and known.is_active):
        return _INVALID
    now = datetime.now(UTC)
    if any(end is not None and end <= now for end in (known.valid_until, known.key_expires_at)):
        return _INVALID
    models = [model for model in await repository.models_of(known.org_id) if is_allowed(model, known.allowed_models)]
    facts = {"id": known.key_id, "name": known.name, "hint": key.hint, "expires_at": known.key_expires_at, "valid_until": known.valid_until}
    return ValidationView(valid=True, key=ValidKeyView(**facts, models=models))
