"""From Envoy's request to hits: which limit a descriptor has, and what a stranger cannot do with it."""

import pytest

from ias.errors import ApiError
from protos import ratelimit_pb2
from ratelimit import layout
from ratelimit.descriptors import MAX_DESCRIPTORS, MAX_ENTRIES, MAX_TEXT, CurrentLimit, InvalidRequest, bucket_limit, read
from ratelimit.limit_rules import LimitRule, LimitUnit
from ratelimit.ports import MAX_LEVEL, MAX_TOKENS, Unit
from tests.support.hits import DOMAIN, descriptor, message

ANY = ("httproute/*", "*")
TENANT = LimitRule("requests of a tenant", "gw/*", (ANY, ("rule-0-match-0", "*")), 100, LimitUnit.HOUR)
BIG = LimitRule("of t1", "gw/*", (ANY, ("rule-0-match-0", "t1")), 5, LimitUnit.SECOND, dry_run=True)


def test_a_limit_that_the_descriptor_brings_wins() -> None:
    read_ = read(message(descriptor(limit=7)), [TENANT])
    assert read_.limits == (CurrentLimit("", 7, LimitUnit.MINUTE),)
    (hits,) = read_.hits.hits
    assert (hits.limit.refill, hits.limit.period_ms, hits.limit.capacity, hits.limit.name) == (7, 60_000, 7, "7 per minute")
    assert (hits.count, hits.on_its_own) == (1, False)


def test_else_the_first_rule_that_names_it() -> None:
    ours, other = (read(message(descriptor(tenant, None)), [BIG, TENANT]) for tenant in ("t1", "t2"))
    assert ours.limits == (CurrentLimit("of t1", 5, LimitUnit.SECOND),)
    assert ours.hits.hits[0].limit.dry_run
    assert other.hits.hits[0].limit.name == "requests of a tenant (100 per hour)"
    assert ours.hits.hits[0].limit.bucket != other.hits.hits[0].limit.bucket


def test_else_none() -> None:
    assert read(message(descriptor(limit=None), domain="other"), [TENANT]).hits.hits == ()
    mixed = read(message(descriptor(limit=None), descriptor()), [])
    assert mixed.limits == (None, CurrentLimit("", 7, LimitUnit.MINUTE))
    assert len(mixed.hits.hits) == 1


@pytest.mark.parametrize(
    ("hits", "addend", "count", "on_its_own", "unit"),
    [
        (None, 0, 1, False, Unit.REQUESTS),
        (None, 3, 3, False, Unit.REQUESTS),
        (0, 3, 0, True, Unit.TOKENS),
        (41, 0, 41, True, Unit.REQUESTS),
        ((1 << 64) - 1, 0, MAX_TOKENS, True, Unit.REQUESTS),
    ],
)
def test_hits_are_the_descriptors_own_or_the_requests(hits: int | None, addend: int, count: int, on_its_own: bool, unit: Unit) -> None:
    (found,) = read(message(descriptor(hits=hits), addend=addend), []).hits.hits
    assert (found.count, found.on_its_own, found.limit.unit) == (count, on_its_own, unit)


def test_hits_are_given_back() -> None:
    assert read(message(descriptor(hits=5, back=True)), []).hits.hits[0].count == -5


def test_the_bytes_of_envoys_field_for_hits_that_are_given_back() -> None:
    """T2: others take it for a charge."""
    wire = descriptor(hits=5).SerializeToString() + bytes((0x20, 0x01))
    raw = b"\x0a" + bytes((len(DOMAIN),)) + DOMAIN.encode() + b"\x12" + bytes((len(wire),)) + wire
    assert read(raw, []).hits.hits[0].count == -5


def test_buckets_of_entries_that_read_alike_differ() -> None:
    """T1: joined by a character, these would be one."""
    alike = [
        [("a", "b_c")],
        [("a_b", "c")],
        [("a", "b"), ("c", "")],
        [("a", "b"), ("", "c")],
        [("1:a", "")],
        [("1", ":a")],
        [("a", "b")],
        [("b", "a")],
    ]
    assert len({layout.descriptor(entries) for entries in alike}) == len(alike)


@pytest.mark.parametrize("unit", LimitUnit)
@pytest.mark.parametrize("amount", [0, 1, 7, 1_000_003, (1 << 32) - 1])
def test_a_bucket_of_any_limit_is_never_more_than_the_limit_and_can_be_overdrawn(unit: LimitUnit, amount: int) -> None:
    limit = bucket_limit(CurrentLimit("", amount, unit), "b")
    assert limit.capacity == amount
    assert limit.capacity * limit.period_ms < MAX_LEVEL >> 4
    if amount:
        assert 0.999 * amount / unit.ms <= limit.refill / limit.period_ms <= amount / unit.ms


@pytest.mark.parametrize(
    "wrong",
    [
        message(domain=""),
        ratelimit_pb2.RateLimitRequest(domain="d").SerializeToString(),
        ratelimit_pb2.RateLimitRequest(domain="d", descriptors=[ratelimit_pb2.RateLimitDescriptor()]).SerializeToString(),
        message(descriptor(unit=0)),
        message(descriptor(unit=99)),
    ],
)
def test_what_the_gateway_did_wrong_is_an_error(wrong: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(wrong, [])


def entries(count: int, size: int = 1) -> ratelimit_pb2.RateLimitDescriptor:
    made = ratelimit_pb2.RateLimitDescriptor()
    for _ in range(count):
        made.entries.add(key="k" * size, value="v")
    return made


@pytest.mark.parametrize(
    "too_much",
    [
        message(*[descriptor()] * (MAX_DESCRIPTORS + 1)),
        message(domain="d" * (MAX_TEXT + 1)),
        message(entries(MAX_ENTRIES + 1)),
        message(entries(1, MAX_TEXT + 1)),
        message(descriptor("t" * (MAX_TEXT + 1))),
        message(descriptor("invalid")).replace(b"invalid", b"inv\xff\xfeid"),
        b"\x0a\xff",
    ],
)
def test_what_a_client_did_wrong_is_refused_because_errors_let_him_pass(too_much: bytes) -> None:
    with pytest.raises(ApiError):
        read(too_much, [])


def test_the_largest_request_is_read() -> None:
    assert len(read(message(*[descriptor("t" * MAX_TEXT)] * MAX_DESCRIPTORS), []).hits.hits) == MAX_DESCRIPTORS


@pytest.mark.parametrize("wrong", [{"name": ""}, {"entries": ()}, {"requests_per_unit": -1}, {"requests_per_unit": 1 << 32}])
def test_rules_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    fields = {"name": "n", "domain": "*", "entries": (ANY,), "requests_per_unit": 1, "unit": LimitUnit.SECOND}
    with pytest.raises(ValueError, match="a limit needs"):
        LimitRule(**(fields | wrong))  # type: ignore[arg-type]
