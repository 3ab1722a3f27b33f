from ratelimit.breaker import FAILURES, PAUSE_MS, Breaker


def opened(now_ms: float = 0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(now_ms, chance=0.5)
    return breaker


def test_single_failures_leave_it_closed() -> None:
    breaker = Breaker()
    for _ in range(10):
        breaker.failed(0, 0)
        breaker.succeeded()
        assert breaker.allows(0, 0)
    assert not breaker.is_open


def test_several_in_a_row_open_it_until_the_pause_is_over() -> None:
    breaker = opened()
    assert breaker.is_open
    assert not breaker.allows(PAUSE_MS - 1, 0)
    assert breaker.allows(PAUSE_MS, 0)


def test_after_the_pause_there_is_one_probe_and_the_next_pause() -> None:
    breaker = opened()
    assert [breaker.allows(PAUSE_MS + after, chance=0.5) for after in (0, 0, 1, PAUSE_MS - 1, PAUSE_MS)] == [True, False, False, False, True]


def test_a_probe_that_fails_keeps_it_open_and_one_that_succeeds_closes_it() -> None:
    breaker = opened()
    assert breaker.allows(PAUSE_MS, 0)
    breaker.failed(PAUSE_MS, chance=0.5)
    assert not breaker.allows(2 * PAUSE_MS - 1, 0)
    assert breaker.allows(2 * PAUSE_MS, 0)
    breaker.succeeded()
    assert breaker.allows(2 * PAUSE_MS, 0)
    assert not breaker.is_open


def test_chance_spreads_the_probes_of_the_replicas() -> None:
    def first_probe(chance: float) -> int:
        breaker = Breaker()
        for _ in range(FAILURES):
            breaker.failed(0, chance)
        return next(at for at in range(10_000) if breaker.allows(at, chance))

    assert (first_probe(0), first_probe(0.5), first_probe(1)) == (PAUSE_MS // 2, PAUSE_MS, PAUSE_MS * 3 // 2)
