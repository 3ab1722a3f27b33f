"""Admissions to a store on Valkey, and what they leave there."""

import asyncio
import secrets

from redis.asyncio import Redis

from ratelimit.ports import Admission, Decision, Limit, Period, Reservation, StoreUnavailable, TokenHold, Unit
from ratelimit.store_valkey import ValkeyAdmissionStore

PATIENT_MS = 5_000
RPM = Limit("requestsPerMinute", "rpm", 60, 60_000, 1_000)
TPM = Limit("tokensPerMinute", "tpm", 600, 60_000, 1_000, Unit.TOKENS)
STREAMS = Limit("concurrentRequests", "streams", 0, 1, 1_000, Unit.STREAMS)
BUDGET = Limit("daily budget", "user:u", 0, 1, 1_000, Unit.TOKENS, Period.DAY, dry_run=True)
RESERVATIONS = "ias2:{org}:r:*"
ALL = (RPM, TPM, STREAMS, BUDGET)


def admission(*limits: Limit, org: str = "org", tokens: int = 10) -> Admission:
    return Admission(org, secrets.randbits(80), limits, b"claim", 1, TokenHold(tokens), "u", "k")


async def admit(store: ValkeyAdmissionStore, *limits: Limit, org: str = "org") -> Reservation:
    (decision,) = await store.admit([admission(*limits, org=org)])
    assert decision.reservation_id is not None
    return Reservation(org, "u", "k", decision.reservation_id)


async def admitted_at_last(store: ValkeyAdmissionStore) -> Decision:
    """After a disturbance; what is refused because of it is asked again."""
    async with asyncio.timeout(20):
        while True:
            try:
                return (await store.admit([admission(*ALL)]))[0]
            except StoreUnavailable:
                await asyncio.sleep(0.01)


async def keys(client: Redis, pattern: str = "ias2:{org}:*") -> set[str]:
    return {key.decode() for key in await client.keys(pattern)}
