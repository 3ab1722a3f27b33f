"""Health that does not flap."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from controlplane.backends.health import PROBES_KEPT, Condition, Probed, Thresholds, after_probe
from controlplane.backends.rules import Health

START = datetime(2026, 1, 1, tzinfo=UTC)
THRESHOLDS = st.builds(Thresholds, st.integers(1, 6), st.integers(1, 6))
PROBES = st.lists(st.booleans(), max_size=150)


def probe(number: int, good: bool, decides: bool = False) -> Probed:
    return Probed(START + timedelta(seconds=number), "" if good else "status 503", 10.0 if good else None, decides)


def run(probes: list[bool], thresholds: Thresholds) -> list[Condition]:
    conditions = [Condition()]
    for number, good in enumerate(probes):
        conditions.append(after_probe(conditions[-1], probe(number, good), thresholds))
    return conditions


@given(PROBES, THRESHOLDS)
def test_health_changes_only_after_enough_probes_in_a_row(probes: list[bool], thresholds: Thresholds) -> None:
    conditions = run(probes, thresholds)
    for number, (before, after) in enumerate(pairwise(conditions)):
        if before.health is Health.UNKNOWN:
            assert after.health is (Health.HEALTHY if probes[number] else Health.UNHEALTHY), "the first probe decides"
        elif after.health is not before.health:
            needed = thresholds.good if after.health is Health.HEALTHY else thresholds.bad
            assert set(probes[number + 1 - needed : number + 1]) == {after.health is Health.HEALTHY}
            assert after.changed_at == START + timedelta(seconds=number)
        else:
            assert after.changed_at == before.changed_at


@given(PROBES, THRESHOLDS)
def test_enough_probes_in_a_row_do_change_it(probes: list[bool], thresholds: Thresholds) -> None:
    assert run([*probes, *[True] * thresholds.good], thresholds)[-1].health is Health.HEALTHY
    assert run([*probes, *[False] * thresholds.bad], thresholds)[-1].health is Health.UNHEALTHY


@given(st.integers(2, 6), st.integers(2, 6), st.integers(1, 100))
def test_an_engine_that_answers_every_other_time_stays_what_it_was(bad: int, good: int, times: int) -> None:
    assert len({one.health for one in run([True, False] * times, Thresholds(bad, good))[1:]}) == 1


@given(PROBES, THRESHOLDS)
def test_availability_is_the_share_of_the_last_probes(probes: list[bool], thresholds: Thresholds) -> None:
    last = probes[-PROBES_KEPT:]
    assert run(probes, thresholds)[-1].availability == (sum(last) / len(last) if last else None)
    assert 0 <= run(probes, thresholds)[-1].history < 1 << PROBES_KEPT, "it fits into a bigint"


@given(PROBES, st.booleans())
def test_a_person_who_asks_gets_the_truth_of_now(probes: list[bool], good: bool) -> None:
    before = run(probes, Thresholds(6, 6))[-1]
    assert after_probe(before, probe(1000, good, decides=True), Thresholds(6, 6)).health is (Health.HEALTHY if good else Health.UNHEALTHY)


@given(st.lists(st.floats(0.1, 3000), min_size=1, max_size=50))
def test_latency_stays_within_what_was_measured(latencies: list[float]) -> None:
    condition = Condition()
    for latency in latencies:
        condition = after_probe(condition, Probed(START, "", latency), Thresholds())
    assert condition.latency_ms is not None
    assert min(latencies) - 1e-6 <= condition.latency_ms <= max(latencies) + 1e-6
    assert after_probe(condition, Probed(START, "down", None), Thresholds()).latency_ms == condition.latency_ms
