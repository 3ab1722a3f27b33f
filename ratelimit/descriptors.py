"""From a request of Envoy's rate limit filter to what it takes of which buckets. Pure.

The limit of a descriptor is the one that it brings (`limit`, from dynamic metadata), else that of the first rule that names it, else none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from ias.errors import headers_too_large, malformed_request
from protos.ratelimit_pb2 import RateLimitDescriptor, RateLimitRequest
from ratelimit import layout
from ratelimit.hits import HitRequest, Hits
from ratelimit.limit_rules import LimitRule, LimitUnit
from ratelimit.ports import MAX_LEVEL, MAX_TOKENS, Limit, Unit

MAX_DESCRIPTORS = 256
"""As many rules as one BackendTrafficPolicy of Envoy Gateway may have."""
MAX_ENTRIES = 32
MAX_TEXT = 4_096
"""Characters of a domain, key or value; values may be what a client sent."""

_UNITS = {unit.of_envoy: unit for unit in LimitUnit}
_ROOM = MAX_LEVEL >> 4
"""Most that a full bucket counts: it may be overdrawn by fifteen times as much before numbers end."""


class InvalidRequest(Exception):
    """The gateway asks for nothing that can be counted; the message says why."""


@dataclass(frozen=True, slots=True)
class CurrentLimit:
    """A limit as Envoy is told of it."""

    name: str
    requests_per_unit: int
    unit: LimitUnit


@dataclass(frozen=True, slots=True)
class LimitedRequest:
    """A request as it was read. `limits` has a place for each descriptor, None for one without a limit; `hits` are those of the others in order."""

    limits: tuple[CurrentLimit | None, ...]
    hits: HitRequest


def read(message: bytes, rules: Sequence[LimitRule]) -> LimitedRequest:
    """Read a RateLimitRequest.

    Raises InvalidRequest for what the gateway's configuration did wrong, and the ApiError that refuses a client who sent what cannot be counted:
    an error of ours would let him pass.
    """
    try:
        request = RateLimitRequest.FromString(message)
    except DecodeError:
        raise malformed_request() from None  # a value that is no UTF-8
    domain, descriptors = request.domain, request.descriptors
    if not domain or not descriptors:
        raise InvalidRequest("a request needs a domain and at least one descriptor")
    if len(descriptors) > MAX_DESCRIPTORS or len(domain) > MAX_TEXT:
        raise headers_too_large()
    limits: list[CurrentLimit | None] = []
    hits: list[Hits] = []
    for descriptor in descriptors:
        entries = _entries(descriptor)
        found, dry_run = _limit(domain, descriptor, entries, rules)
        limits.append(found)
        if found is not None:
            hits.append(_hits(descriptor, found, layout.descriptor(entries), request.hits_addend or 1, dry_run))
    return LimitedRequest(tuple(limits), HitRequest(layout.domain(domain), tuple(hits)))


def _entries(descriptor: RateLimitDescriptor) -> list[tuple[str, str]]:
    if not descriptor.entries:
        raise InvalidRequest("a descriptor needs at least one entry")
    if len(descriptor.entries) > MAX_ENTRIES:
        raise headers_too_large()
    entries = [(entry.key, entry.value) for entry in descriptor.entries]
    if any(len(key) > MAX_TEXT or len(value) > MAX_TEXT for key, value in entries):
        raise headers_too_large()
    return entries


def _limit(
    domain: str, descriptor: RateLimitDescriptor, entries: Sequence[tuple[str, str]], rules: Sequence[LimitRule]
) -> tuple[CurrentLimit | None, bool]:
    """The limit of a descriptor, and whether it is only tried out."""
    if descriptor.HasField("limit"):
        unit = _UNITS.get(descriptor.limit.unit)
        if unit is None:
            raise InvalidRequest("a limit needs a unit")
        return CurrentLimit("", descriptor.limit.requests_per_unit, unit), False
    rule = next((rule for rule in rules if rule.names(domain, entries)), None)
    if rule is None:
        return None, False
    return CurrentLimit(rule.name, rule.requests_per_unit, rule.unit), rule.dry_run


def _hits(descriptor: RateLimitDescriptor, found: CurrentLimit, bucket: str, addend: int, dry_run: bool) -> Hits:
    on_its_own = descriptor.HasField("hits_addend")
    count = min(descriptor.hits_addend.value if on_its_own else addend, MAX_TOKENS)
    # What is asked before and charged afterwards are tokens, whose number nobody knows before; requests are charged as they come.
    unit = Unit.TOKENS if count == 0 else Unit.REQUESTS
    return Hits(bucket_limit(found, bucket, unit, dry_run), -count if descriptor.is_negative_hits else count, on_its_own)


def bucket_limit(found: CurrentLimit, bucket: str, unit: Unit = Unit.REQUESTS, dry_run: bool = False) -> Limit:
    """The token bucket of a limit: as much as the unit allows at once, and the same again in the course of it.

    Where the numbers of a long unit would leave no room for a debt, the level counts tens of token-milliseconds, hundreds and so on. What flows
    off is rounded down then, by less than a part in a thousand.
    """
    capacity, refill, period = found.requests_per_unit, found.requests_per_unit, found.unit.ms
    while capacity * period >= _ROOM:
        refill, period = refill // 10, period // 10
    return Limit(described(found), bucket, max(1, refill), period, capacity, unit, dry_run=dry_run)


def described(found: CurrentLimit) -> str:
    """What a person calls it: `requests of a tenant (100 per minute)`, or `100 per minute`."""
    amount = f"{found.requests_per_unit} per {found.unit}"
    return f"{found.name} ({amount})" if found.name else amount
