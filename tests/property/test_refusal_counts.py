"""Whatever is sent: nothing that is refused is left uncounted, and a stranger chooses neither memory nor what an org sees."""

from hypothesis import given
from hypothesis import strategies as st

from extauth.refusal_counts import ANONYMOUS_KINDS, MINUTE_MS, ORG_KINDS, Kind, RefusalCounts

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
        assert sum(count for one, count in taken if one[:4] == group) == sum(one[:4] == group for one in refused)
    for minute_ms in (0, MINUTE_MS, 2 * MINUTE_MS):
        for org_id, most in ((None, ANONYMOUS_KINDS), ("org-1", ORG_KINDS), ("org-2", ORG_KINDS)):
            found = [kind for kind, _ in taken if (kind.minute_ms, kind.org_id) == (minute_ms, org_id)]
            assert sum(not kind.overflow for kind in found) <= most
            assert sum(kind.overflow for kind in found) <= 8, "one for each status and code"
            assert len(set(found)) == len(found)


def test_a_flood_of_unknown_keys_hides_nothing_of_an_org() -> None:
    counts = RefusalCounts()
    for number in range(100_000):
        counts.add(Kind(0, 401, "invalid_api_key", None, f"ias_live_{number:08d}", f"192.0.{number % 256}.0/24"))
    counts.add(Kind(0, 429, "rate_limit_exceeded", "org", "ias_live_AbCdEfGh", None))
    taken = dict(counts.take_before(MINUTE_MS))
    assert taken[Kind(0, 429, "rate_limit_exceeded", "org", "ias_live_AbCdEfGh", None)] == 1
    assert taken[Kind(0, 401, "invalid_api_key", None, None, None, overflow=True)] == 100_000 - ANONYMOUS_KINDS
    assert len(taken) == ANONYMOUS_KINDS + 2
