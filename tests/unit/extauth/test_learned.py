from extauth.estimate import NOTHING_LEARNED
from extauth.learned import ENOUGH_ORGS, ENOUGH_SAMPLES, LearnedValues
from ratelimit.ports import Learned


def learned(tokens: int, output: int = 10, samples: int = 1_000) -> Learned:
    return Learned(tokens, output, samples)


def test_an_org_is_judged_by_itself_once_there_is_enough_of_it() -> None:
    values = LearnedValues(10)
    assert values.of("o", "p") is NOTHING_LEARNED
    values.note("o", "p", learned(100, samples=ENOUGH_SAMPLES - 1))
    assert values.of("o", "p") is NOTHING_LEARNED
    values.note("o", "p", learned(100, samples=ENOUGH_SAMPLES))
    assert values.of("o", "p").tokens_per_kilobyte == 100
    values.note("o", "p", learned(200))
    assert values.of("o", "p").tokens_per_kilobyte == 200
    assert values.of("o", "q") is values.of("n", "p") is NOTHING_LEARNED


def test_a_new_org_starts_from_the_median_of_several_others() -> None:
    values = LearnedValues(10)
    for number, tokens in enumerate((100, 300, 9_999), start=1):
        assert values.of("new", "p") is NOTHING_LEARNED
        values.note(f"o{number}", "p", learned(tokens, output=number))
    prior = values.of("new", "p")
    assert (prior.tokens_per_kilobyte, prior.output_tokens) == (300, 2)


def test_no_tenant_alone_decides_for_another() -> None:
    values = LearnedValues(100)
    for number in range(ENOUGH_ORGS):
        values.note(f"o{number}", "p", learned(300))
    for _ in range(50):
        values.note("loud", "p", learned(9_999))
    assert values.of("new", "p").tokens_per_kilobyte == 300
    for number in range(50):
        values.note(f"few-{number}", "p", learned(9_999, samples=ENOUGH_SAMPLES - 1))
    assert values.of("new", "p").tokens_per_kilobyte == 300


def test_memory_is_bounded() -> None:
    values = LearnedValues(5)
    for org in range(20):
        for publication in range(20):
            values.note(f"o{org}", f"p{publication}", learned(100 + org))
    assert len(values) == 5
    assert len(values._by_publication) == 5
    assert set(values._priors) <= set(values._by_publication)
    assert values.of("o0", "p0") is NOTHING_LEARNED


def test_what_was_told_within_a_second_is_not_asked_for_again() -> None:
    values = LearnedValues(2)
    assert values.is_due("o", "p", 0)
    assert values.is_due("o", "p", 1), "nothing was told yet"
    values.note("o", "p", learned(100))
    assert [values.is_due("o", "p", now_ms) for now_ms in (2, 3, 1_001, 1_002, 500)] == [True, False, False, True, True]
    assert values.is_due("o", "q", 501)
    for number in range(2):
        values.note(f"o{number}", "p", learned(100))
    assert values.is_due("o", "p", 502), "forgotten"
