"""What one limit promises, against every history that hypothesis can think of. Whole stores: `tests/conformance/`."""

import uuid
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ias.ids import uuid7_ms
from ratelimit.bucket import NEVER
from ratelimit.holds import Offer
from ratelimit.learning import EDGES, SAMPLES, Histogram
from ratelimit.periods import period_at
from ratelimit.ports import Admission, LimitState, Period, Reservation, TokenHold, Unit
from ratelimit.ports import Limit as Rule
from ratelimit.store_memory import MemoryAdmissionStore
from tests.support import admission_model

LONG_MS = 24 * 3_600_000


def rules(unit: Unit) -> st.SearchStrategy[Rule]:
    return st.builds(
        Rule,
        name=st.just("limit"),
        bucket=st.just("b"),
        refill=st.integers(1, 500),
        period_ms=st.sampled_from([1, 7, 1_000, 60_000, 3_600_000]),
        capacity=st.integers(0, 50),
        unit=st.just(unit),
    )


requests = rules(Unit.REQUESTS)
histories = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 20)), max_size=40)


class One:
    """A store with one limit, and a clock."""

    def __init__(self, *limits: Rule) -> None:
        self.now = 1_000_000
        self.limits = limits
        self.store = MemoryAdmissionStore(lambda: self.now, LONG_MS)
        self.number = 0

    def ask(self, cost: int, tokens: int = 0) -> tuple[Reservation | None, tuple[LimitState, ...]]:
        self.number += 1
        (decision,) = now(self.store.admit([Admission("org", self.number, self.limits, b"", cost, TokenHold(tokens))]))
        rid = decision.reservation_id
        return Reservation("org", "", "", rid) if rid is not None else None, decision.states

    def play(self, history: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Play (pause, cost) pairs; return what was admitted as (time, cost)."""
        admitted = []
        for pause, cost in history:
            self.now += pause
            if self.ask(cost)[0] is not None:
                admitted.append((self.now, cost))
        return admitted


def now(coroutine):  # type: ignore[no-untyped-def]
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


def within_envelope(limit: Rule, charges: list[tuple[int, int]]) -> None:
    """P2: no stretch of time passes more than the capacity and what refilled in it."""
    for first in range(len(charges)):
        total = 0
        for time, charge in charges[first:]:
            total += charge
            assert total <= limit.capacity + Fraction(limit.refill * (time - charges[first][0]), limit.period_ms)


@given(requests, histories)
def test_no_window_ever_passes_more_than_capacity_plus_refill(limit: Rule, history: list[tuple[int, int]]) -> None:
    within_envelope(limit, One(limit).play(history))


@given(
    rules(Unit.TOKENS),
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 30), st.integers(0, 30), st.integers(0, 5)), max_size=40),
)
def test_neither_does_what_was_held_first_and_settled_later_for_no_more(limit: Rule, history: list[tuple[int, int, int, int]]) -> None:
    """P2 with holds: (pause, held, used at most that, how many requests later it is settled)."""
    one, running, charges = One(limit), [], []
    for step, (pause, held, used, after) in enumerate(history):
        one.now += pause
        request, _ = one.ask(1, held)
        if request is not None:
            running.append((step + after, request, min(used, held)))
        for entry in [entry for entry in running if entry[0] <= step]:
            running.remove(entry)
            now(one.store.settle([(entry[1], entry[2])]))
            charges.append((one.now, entry[2]))
    within_envelope(limit, charges)


@given(requests, histories, st.integers(1, 60))
def test_a_retry_succeeds_at_the_promised_moment_and_not_a_millisecond_earlier(limit: Rule, history: list[tuple[int, int]], cost: int) -> None:
    one = One(limit)
    one.play(history)
    request, (state,) = one.ask(cost)
    if request is not None:
        assert state.retry_ms == 0
    elif cost > limit.capacity:
        assert state.retry_ms == NEVER
    else:
        assert state.retry_ms > 0
        one.now += state.retry_ms - 1
        assert one.ask(cost)[0] is None
        one.now += 1
        assert one.ask(cost)[0] is not None


@given(requests, histories)
def test_a_bucket_is_full_again_at_the_promised_moment_and_not_a_millisecond_earlier(limit: Rule, history: list[tuple[int, int]]) -> None:
    one = One(limit)
    one.play(history)
    _, (state,) = one.ask(limit.capacity + 1)
    if state.ms_to_full:
        one.now += state.ms_to_full - 1
        assert one.ask(limit.capacity)[0] is None
        one.now += 1
    assert limit.capacity == 0 or one.ask(limit.capacity)[0] is not None


@given(requests, histories, st.integers(1, 20))
def test_remaining_is_exactly_what_would_still_pass(limit: Rule, history: list[tuple[int, int]], cost: int) -> None:
    one = One(limit)
    one.play(history)
    _, (state,) = one.ask(cost)
    assert 0 <= state.remaining <= limit.capacity
    assert one.ask(state.remaining + 1)[0] is None
    assert state.remaining == 0 or one.ask(state.remaining)[0] is not None


@given(requests, histories, st.integers(1, 10_000), st.integers(1, 20))
def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing(limit: Rule, history: list[tuple[int, int]], back_ms: int, cost: int) -> None:
    back, there = One(limit), One(limit)
    back.play(history)
    there.play(history)
    for one in (back, there):
        if one.ask(1)[0] is None:  # so that the bucket knows the time
            return
    back.now -= back_ms
    (gone, before), (stayed, after) = back.ask(cost), there.ask(cost)
    assert (gone is None) == (stayed is None)
    assert before[0].remaining == after[0].remaining
    assert before[0].ms_to_full == after[0].ms_to_full + back_ms
    if after[0].retry_ms > 0:
        assert before[0].retry_ms == after[0].retry_ms + back_ms


@given(st.lists(requests, min_size=2, max_size=4), histories, st.integers(1, 60))
def test_all_or_nothing(several: list[Rule], history: list[tuple[int, int]], cost: int) -> None:
    limits = [Rule("limit", f"b{n}", rule.refill, rule.period_ms, rule.capacity) for n, rule in enumerate(several)]
    one = One(*limits)
    one.play(history)
    before = {limit: one.store._state.level("org", limit, one.now) for limit in limits}
    request, states = one.ask(cost)
    after = {limit: one.store._state.level("org", limit, one.now) for limit in limits}
    if request is None:
        assert after == before
        assert any(state.retry_ms for state in states)
    else:
        assert [after[limit].w - before[limit].w for limit in limits] == [cost * limit.period_ms for limit in limits]
        assert all(state.retry_ms == 0 for state in states)


@given(st.integers(0, 5_000), st.integers(1, 100), st.integers(0, 6_000), st.integers(0, 6_000), st.integers(-100, 12_000))
def test_what_is_held_is_the_first_of_the_offers_that_fits(full: int, share: int, reduced: int, at_least: int, free: int) -> None:
    """The rule as the port's text has it, beside the one with precomputed numbers."""
    offer = Offer.of(TokenHold(full, share, reduced, at_least))
    if full <= Fraction(share * free, 100):
        expected = full
    elif 0 < min(reduced, full) <= free:
        expected = min(reduced, full)
    elif 0 < at_least <= free:
        expected = min(full, free)
    else:
        assert free < offer.least
        return
    assert free >= offer.least
    assert offer.held(free) == expected


@given(st.integers(0, 4_000_000_000_000), st.sampled_from(Period))
def test_periods_cover_all_time_without_gaps(at_ms: int, calendar: Period) -> None:
    start, end = period_at(calendar, at_ms)
    assert start <= at_ms < end
    assert period_at(calendar, end)[0] == end
    assert (start, end) == admission_model.period(calendar, at_ms)


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=1_500), st.integers(1, 100))
def test_a_quantile_is_never_below_and_at_most_a_quarter_above(values: list[int], percent: int) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    assert histogram.total < SAMPLES
    if len(values) < SAMPLES:
        exact = sorted(values)[-(-len(values) * percent // 100) - 1]
        assert min(exact, EDGES[-1]) <= histogram.quantile(percent) <= max(1, exact * 5 // 4 + 1)


@given(histories)
def test_reservation_ids_carry_the_time_of_admission(history: list[tuple[int, int]]) -> None:
    one = One()
    for pause, cost in history:
        one.now += pause
        request, _ = one.ask(cost)
        assert request is not None
        assert uuid7_ms(uuid.UUID(request.reservation_id)) == one.now
