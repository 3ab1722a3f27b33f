"""Whatever is sent: nothing that is refused is left uncounted, and a stranger chooses neither memory nor what an org sees."""

from hypothesis import given
from hypothesis import strategies as st

from extauth.refusal_counts import ANONYMOUS_KINDS, MINUTE_MS, ORG_KINDS, ORG_SAMPLES, Kind, RefusalCounts
from ias.security_event import MOST_SAMPLES, RefusedRequest

kinds = st.builds(
    Kind,
    st.integers(0, 2).map(lambda minute: minute * MINUTE_MS),
    st.sampled_from([401, 403, 404, 429]),
    st.sampled_from(["a", "b"]),
    st.sampled_from([None, "org-1", "org-2"]),
    st.none() | st.integers(0, 400).map(str),
    st.none() | st.integers(0, 400).map(str),
)


@given(st.lists(kinds, max_size=1_500))
def test_every_refusal_is_counted_once_under_its_minute_status_code_and_org(refused: list[Kind]) -> None:
    counts = RefusalCounts()
    for kind in refused:
        counts.add(kind)
    taken = counts.take_before(MINUTE_MS) + counts.take_before(9 * MINUTE_MS)
    assert counts.take_before(9 * MINUTE_MS) == []
    for kind in set(refused):
        group = kind[:4]
        assert sum(count for one, count, _ in taken if one[:4] == group) == sum(one[:4] == group for one in refused)
    for minute_ms in (0, MINUTE_MS, 2 * MINUTE_MS):
        for org_id, most in ((None, ANONYMOUS_KINDS), ("org-1", ORG_KINDS), ("org-2", ORG_KINDS)):
            found = [kind for kind, *_ in taken if (kind.minute_ms, kind.org_id) == (minute_ms, org_id)]
            assert sum(not kind.overflow for kind in found) <= most
            assert sum(kind.overflow for kind in found) <= 8, "one for each status and code"
            assert len(set(found)) == len(found)


def sample(number: int) -> RefusedRequest:
    return RefusedRequest(request_id=f"r-{number}", at_ms=number, user_id="u", key_id="k", method="POST", path="/v1/x", message="no")


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["org-1", "org-2"]), st.integers(0, 40)), max_size=900))
def test_samples_are_the_latest_of_each_kind_and_bounded(refused: list[tuple[int, str, int]]) -> None:
    counts = RefusalCounts()
    sent: dict[Kind, list[str]] = {}
    for number, (minute, org_id, key) in enumerate(refused):
        kind = Kind(minute * MINUTE_MS, 429, "rate_limit_exceeded", org_id, str(key), None)
        counts.add(kind, sample(number))
        sent.setdefault(kind, []).append(f"r-{number}")
    kept: dict[tuple[int, str | None], int] = {}
    for kind, _, samples in counts.take_before(9 * MINUTE_MS):
        ids = [one.request_id for one in samples]
        assert ids == sent[kind][len(sent[kind]) - len(ids) :], "the latest, in order"
        assert len(ids) <= MOST_SAMPLES
        kept[kind.minute_ms, kind.org_id] = kept.get((kind.minute_ms, kind.org_id), 0) + len(ids)
    assert all(number <= ORG_SAMPLES for number in kept.values())
    if len(refused) <= ORG_SAMPLES:
        assert sum(kept.values()) == sum(min(len(ids), MOST_SAMPLES) for ids in sent.values())


def test_a_flood_of_unknown_keys_hides_nothing_of_an_org() -> None:
    counts = RefusalCounts()
    for number in range(100_000):
        counts.add(Kind(0, 401, "invalid_api_key", None, f"ias_live_{number:08d}", f"192.0.{number % 256}.0/24"))
    counts.add(Kind(0, 429, "rate_limit_exceeded", "org", "ias_live_AbCdEfGh", None))
    taken = {kind: count for kind, count, _ in counts.take_before(MINUTE_MS)}
    assert taken[Kind(0, 429, "rate_limit_exceeded", "org", "ias_live_AbCdEfGh", None)] == 1
    assert taken[Kind(0, 401, "invalid_api_key", None, None, None, overflow=True)] == 100_000 - ANONYMOUS_KINDS
    assert len(taken) == ANONYMOUS_KINDS + 2
