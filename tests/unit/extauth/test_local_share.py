"""What one process admits alone, while the store is away."""

import uuid

import pytest

from extauth.local_share import ASSUMED_STREAM_MS, GRACE_PERIOD_MS, LocalShare
from ias.errors import ApiError
from ias.ids import uuid7_ms
from ratelimit.ports import Admission, Decision, Limit, Period, TokenHold, Unit

REQUESTS = Limit("requestsPerMinute", "org:rpm", 60, 60_000, 60)
TOKENS = Limit("tokensPerMinute", "org:tpm", 6_000, 60_000, 6_000, Unit.TOKENS)
STREAMS = Limit("concurrentRequests", "org:streams", 0, 1, 4, Unit.STREAMS)
BUDGET = Limit("monthly token budget", "org", 0, 1, 1_000_000, Unit.TOKENS, Period.MONTH)


class Process:
    """One replica, alone."""

    def __init__(self, replicas: int = 1) -> None:
        self.share = LocalShare()
        self.replicas = replicas

    def ask(self, *limits: Limit, hold: TokenHold = TokenHold(0), grace: int = 0, now_ms: int = 0, org: str = "o") -> Decision:  # noqa: B008
        return self.share.decide(Admission(org, 7, limits, b"", tokens=hold), grace, self.replicas, now_ms, id_ms=1_000)

    def admitted(self, tries: int, *limits: Limit, hold: TokenHold = TokenHold(0), now_ms: int = 0) -> int:  # noqa: B008
        return sum(self.ask(*limits, hold=hold, now_ms=now_ms).reservation_id is not None for _ in range(tries))


@pytest.mark.parametrize(("replicas", "share"), [(1, 60), (2, 30), (7, 8), (60, 1), (1_000, 1)])
def test_the_share_is_the_limit_divided_by_the_replicas_and_at_least_one(replicas: int, share: int) -> None:
    process = Process(replicas)
    assert process.admitted(100, REQUESTS) == share
    assert process.admitted(100, REQUESTS, now_ms=60_000) == share, "a minute refills it"


def test_each_org_has_its_own_share() -> None:
    process = Process(60)
    assert process.ask(REQUESTS).reservation_id is not None
    assert process.ask(REQUESTS).reservation_id is None
    assert process.ask(REQUESTS, org="other").reservation_id is not None


def test_an_id_carries_the_stores_time() -> None:
    decision = Process().ask(REQUESTS)
    assert decision.reservation_id is not None
    assert uuid7_ms(uuid.UUID(decision.reservation_id)) == 1_000


def test_a_refusal_says_when_to_come_again_and_takes_nothing() -> None:
    process = Process(60)
    full = Limit("requestsPerHour", "org:rph", 60, 3_600_000, 60)
    assert process.ask(REQUESTS, full).reservation_id is not None
    refused = process.ask(full, REQUESTS)
    assert [state.retry_ms for state in refused.states] == [3_600_000, 60_000]
    assert process.ask(REQUESTS, now_ms=59_999).reservation_id is None
    assert process.ask(REQUESTS, now_ms=60_000).reservation_id is not None


def test_tokens_are_charged_as_they_are_held() -> None:
    process = Process(2)
    assert process.admitted(5, TOKENS, hold=TokenHold(1_000)) == 3
    assert process.ask(TOKENS, hold=TokenHold(1_000), now_ms=20_000).held_tokens == 1_000


@pytest.mark.parametrize(
    ("hold", "held"),
    [
        (TokenHold(600, share_percent=10, reduced=100), 600),
        (TokenHold(601, share_percent=10, reduced=100), 100),
        (TokenHold(9_000, at_least=10), 6_000),
        (TokenHold(6_000), 6_000),
    ],
)
def test_a_hold_is_chosen_as_the_store_would(hold: TokenHold, held: int) -> None:
    assert Process().ask(TOKENS, hold=hold).held_tokens == held


def test_more_than_the_limit_can_never_pass() -> None:
    assert [state.retry_ms for state in Process().ask(TOKENS, hold=TokenHold(6_001)).states] == [-1]
    assert [state.retry_ms for state in Process().ask(Limit("none", "b", 1, 60_000, 0)).states] == [-1]


def test_a_request_that_only_the_share_is_too_small_for_is_not_told_that_it_never_fits() -> None:
    """It will, once the store is back: 503, which is tried again, and nothing is taken."""
    process = Process(2)
    with pytest.raises(ApiError) as refused:
        process.ask(REQUESTS, TOKENS, hold=TokenHold(3_001))
    assert (refused.value.status, refused.value.code) == (503, "service_unavailable")
    assert process.ask(TOKENS, hold=TokenHold(3_000)).held_tokens == 3_000
    assert [state.retry_ms for state in process.ask(TOKENS, hold=TokenHold(6_001)).states] == [-1]


def test_concurrent_requests_are_held_to_a_rate() -> None:
    process = Process(2)
    assert process.admitted(5, STREAMS) == 2
    assert process.admitted(5, STREAMS, now_ms=ASSUMED_STREAM_MS // 2) == 1
    assert process.admitted(5, STREAMS, now_ms=10 * ASSUMED_STREAM_MS) == 2


def test_what_is_only_tried_out_refuses_nothing() -> None:
    dry = Limit("requestsPerMinute", "key:rpm", 1, 60_000, 0, dry_run=True)
    decision = Process().ask(dry, REQUESTS)
    assert decision.reservation_id is not None
    assert [state.limit for state in decision.states] == [REQUESTS]


def test_a_budget_lets_the_grace_pass_and_then_nothing() -> None:
    process = Process(2)
    for _ in range(3):
        assert process.ask(BUDGET, hold=TokenHold(30), grace=100).reservation_id is not None
    with pytest.raises(ApiError) as refused:
        process.ask(BUDGET, hold=TokenHold(30), grace=100)
    assert (refused.value.status, refused.value.code) == (503, "service_unavailable")
    assert process.ask(BUDGET, hold=TokenHold(10), grace=100).reservation_id is not None
    assert process.ask(BUDGET, hold=TokenHold(90), grace=100, now_ms=GRACE_PERIOD_MS).reservation_id is not None


def test_without_grace_a_budget_lets_nothing_pass_and_without_a_budget_grace_is_not_asked() -> None:
    with pytest.raises(ApiError):
        Process().ask(BUDGET, hold=TokenHold(1))
    assert Process().ask(TOKENS, hold=TokenHold(1)).reservation_id is not None


def test_a_spent_grace_charges_no_other_limit() -> None:
    process = Process(60)
    with pytest.raises(ApiError):
        process.ask(REQUESTS, BUDGET, hold=TokenHold(5))
    assert process.ask(REQUESTS).reservation_id is not None


def test_levels_that_have_drained_are_forgotten() -> None:
    process = Process()
    for number in range(5_000):
        process.ask(REQUESTS, org=f"o{number}", now_ms=number * 100)
    assert len(process.share._levels) < 2_100
