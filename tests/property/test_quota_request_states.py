"""A request for more, decided, withdrawn and left alone in any order: it ends once, and stays as it ended."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controlplane.errors import Problem
from controlplane.quota_requests.rules import EDGES, LIFETIME, State, check_move, state_at

START = datetime(2026, 11, 1, tzinfo=UTC)
ENDS = st.sampled_from([State.APPROVED, State.REJECTED, State.WITHDRAWN])


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stored, self.now = State.OPEN, START
        self.seen: list[State] = []

    @property
    def state(self) -> State:
        return state_at(self.stored, START + LIFETIME, self.now)

    @rule(hours=st.integers(1, 200))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(to=ENDS)
    def somebody_ends_it(self, to: State) -> None:
        before = self.state
        assert _may(before, to) == (before is State.OPEN)
        if before is State.OPEN:
            self.stored = to

    @precondition(lambda self: self.state is State.EXPIRED)
    @rule()
    def its_expiry_is_written_down(self) -> None:
        self.stored = State.EXPIRED

    @invariant()
    def it_only_ever_moves_along_an_edge(self) -> None:
        if not self.seen or self.seen[-1] is not self.state:
            self.seen.append(self.state)
        assert all(move in EDGES for move in zip(self.seen, self.seen[1:], strict=False))
        assert len(self.seen) <= 2

    @invariant()
    def it_is_open_no_longer_than_its_life(self) -> None:
        assert self.state is not State.OPEN or self.now < START + LIFETIME


TestLife = Life.TestCase


def test_there_are_exactly_these_edges() -> None:
    moves = {(state, to) for state in State for to in State if _may(state, to)}
    assert moves == {(State.OPEN, to) for to in State if to is not State.OPEN} == EDGES


def _may(state: State, to: State) -> bool:
    try:
        check_move(state, to)
    except Problem:
        return False
    return True
