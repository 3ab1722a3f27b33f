"""The service on a store in memory: what Envoy is answered, together and whatever happens."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
import pytest

from ias import telemetry
from ias.transport import Call
from protos.ratelimit_pb2 import RateLimitResponse
from ratelimit.grpc_service import RateLimitService
from ratelimit.hits import HitRequest
from ratelimit.hits_local import LocalHits
from ratelimit.limit_rules import LimitRule, LimitUnit
from ratelimit.ports import LimitState, StoreUnavailable
from ratelimit.replicas import ReplicaRegister, Replicas
from tests.support.checks import FakeCall
from tests.support.hits import code, descriptor, headers, message

DRY = LimitRule("tried out", "*", (("httproute/*", "*"), ("rule-0-match-0", "dry")), 1, LimitUnit.DAY, dry_run=True)


class Store:
    """One process with all of every limit; an exception is raised instead."""

    def __init__(self, error: Exception | None = None) -> None:
        self.local = LocalHits()
        self.error = error
        self.batches: list[int] = []

    async def take(self, requests: Sequence[HitRequest]) -> list[tuple[LimitState, ...]]:
        self.batches.append(len(requests))
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return [self.local.take(request, 1, time.monotonic_ns() // 1_000_000) for request in requests]


def service(store: Store, replicas: int = 1, **options: Any) -> RateLimitService:
    seen = Replicas(cast("ReplicaRegister", None), 1)
    seen.count = replicas
    return RateLimitService(store, [DRY], seen, 1_000, **options)


async def ask(asked: RateLimitService, *messages: bytes) -> list[bytes]:
    calls = [FakeCall(one) for one in messages]
    asked.handle(cast("Sequence[Call]", calls))
    answers = [await asyncio.wait_for(call.answer, 5) for call in calls]
    await asked.finish()
    return answers


def counted(name: str, **labels: str) -> Callable[[], float]:
    return lambda: telemetry.REGISTRY.get_sample_value(name, labels) or 0


async def test_all_that_came_together_is_one_question_to_the_store() -> None:
    store = Store()
    answers = await ask(service(store), *[message()] * 9)
    assert [code(one) for one in answers] == ["OK"] * 7 + ["OVER_LIMIT"] * 2
    assert store.batches == [9]


async def test_there_is_a_status_for_each_descriptor_in_order() -> None:
    (answer,) = await ask(service(Store()), message(descriptor("a", 7), descriptor("b", None), descriptor("c", 0)))
    statuses = RateLimitResponse.FromString(answer).statuses
    assert [RateLimitResponse.Code.Name(status.code) for status in statuses] == ["OK", "OK", "OVER_LIMIT"]
    first, without, _ = statuses
    assert (first.current_limit.requests_per_unit, first.current_limit.unit, first.limit_remaining) == (7, 2, 7), (
        "nothing is charged of a refused one"
    )
    assert not without.HasField("current_limit")


async def test_a_refusal_is_one_that_openais_clients_read() -> None:
    *_, answer = await ask(service(Store()), *[message()] * 8)
    told, response = headers(answer), RateLimitResponse.FromString(answer)
    error = msgspec.json.decode(response.raw_body)["error"]
    assert error == {
        "message": "Rate limit reached: 7 per minute. Try again in 9 seconds.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert told["content-type"] == "application/json"
    assert told["retry-after"] == "9"
    assert told["x-ratelimit-limit-requests"] == "7"
    assert told["x-ratelimit-remaining-requests"] == "0"
    (status,) = response.statuses
    assert status.duration_until_reset.seconds * 1_000 + status.duration_until_reset.nanos // 1_000_000 == int(told["retry-after-ms"])


async def test_tokens_are_asked_for_and_charged_when_they_are_known() -> None:
    asked, charged = message(descriptor(hits=0, limit=100)), message(descriptor(hits=141, limit=100))
    before, at_the_end, after = await ask(service(Store()), asked, charged, asked)
    assert [code(one) for one in (before, at_the_end, after)] == ["OK", "OK", "OVER_LIMIT"]
    assert headers(before)["x-ratelimit-remaining-tokens"] == "100"
    assert msgspec.json.decode(RateLimitResponse.FromString(after).raw_body)["error"]["type"] == "tokens"
    assert headers(after)["x-ratelimit-remaining-tokens"] == "0"
    assert headers(after)["retry-after"] == "26", "42 of 100 per minute"


async def test_more_than_the_limit_itself_is_not_to_be_tried_again() -> None:
    (answer,) = await ask(service(Store()), message(descriptor(hits=8)))
    assert headers(answer)["x-should-retry"] == "false"
    assert "retry-after" not in headers(answer)


async def test_limits_are_not_told_where_extauth_tells_its_own() -> None:
    passed, *_, refused = await ask(service(Store(), tell_limits=False), *[message()] * 8)
    assert headers(passed) == {}
    assert set(headers(refused)) == {"content-type", "retry-after", "retry-after-ms"}


async def test_a_limit_that_is_tried_out_refuses_nothing_and_is_counted() -> None:
    would = counted("ias_limit_would_refuse_total", limit="tried out", scope="gateway")
    before = would()
    answers = await ask(service(Store()), *[message(descriptor("dry", None))] * 3)
    assert [code(one) for one in answers] == ["OK"] * 3
    assert would() == before + 2
    assert headers(answers[0]) == {}


async def test_what_has_no_limit_asks_no_store() -> None:
    store = Store()
    (answer,) = await ask(service(store), message(descriptor(limit=None)))
    assert code(answer) == "OK"
    assert store.batches == []


async def test_without_the_store_this_process_gives_its_share() -> None:
    answers = await ask(service(Store(StoreUnavailable("gone")), replicas=3), *[message()] * 3)
    assert [code(one) for one in answers] == ["OK", "OK", "OVER_LIMIT"], "a third of seven"
    assert RateLimitResponse.FromString(answers[2]).statuses[0].current_limit.requests_per_unit == 7


@pytest.mark.parametrize(("policy", "expected"), [("deny", "OVER_LIMIT"), ("allow", "OK")])
async def test_or_what_it_was_told_to(policy: str, expected: str) -> None:
    (answer,) = await ask(service(Store(StoreUnavailable("gone")), when_store_away=policy), message())
    assert code(answer) == expected
    assert [RateLimitResponse.Code.Name(status.code) for status in RateLimitResponse.FromString(answer).statuses] == [expected]


async def test_a_store_that_is_away_is_asked_no_more_after_some_failures() -> None:
    store = Store(StoreUnavailable("gone"))
    asked = service(store)
    for _ in range(10):
        await ask(asked, message())
    assert len(store.batches) == 3


async def test_a_fault_of_ours_refuses() -> None:
    answers = await ask(service(Store(ZeroDivisionError("a bug"))), message(), message())
    assert [code(one) for one in answers] == ["OVER_LIMIT"] * 2


async def test_what_a_client_sent_too_large_is_refused_and_the_rest_is_decided() -> None:
    answers = await ask(service(Store()), message(descriptor("t" * 5_000)), message())
    assert [code(one) for one in answers] == ["OVER_LIMIT", "OK"]


async def test_a_request_without_a_domain_is_an_error() -> None:
    with pytest.raises(AssertionError, match="INVALID_ARGUMENT: a request needs a domain"):
        await ask(service(Store()), message(domain=""))


async def test_refusals_are_counted_by_rule() -> None:
    over, refusals = (
        counted("ias_rate_limit_requests_total", answer="over_limit"),
        counted("ias_limit_refusals_total", limit="of the descriptor", scope="gateway"),
    )
    before = over(), refusals()
    await ask(service(Store()), *[message()] * 10)
    assert (over() - before[0], refusals() - before[1]) == (3, 3)
