"""Approvals beside the diagram of seed 003 (UC-004): whatever admins and rules do in any order, a model moves along its six edges only."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controlplane.approvals.rules import EDGES, Edge, Rule, State, Verb, after, state_of

# As the diagram has them, in its own words.
DIAGRAM = """
    pending --> approved: Admin approves
    pending --> approved: Auto-approval rule matches
    pending --> rejected: Admin rejects
    approved --> revoked: Admin revokes
    rejected --> approved: Admin reconsiders
    revoked --> approved: Admin reinstates
"""
START = datetime(2026, 11, 27, tzinfo=UTC)
BACKEND, OTHER = UUID(int=1), UUID(int=2)
MOVES = {tuple(line.split(":")[0].split(" --> ")) for line in DIAGRAM.strip().replace("    ", "").splitlines()}


def test_the_table_is_the_diagram() -> None:
    assert len(EDGES) == len(DIAGRAM.strip().splitlines()) == 6
    assert {(state.value, to.value) for (state, _), to in EDGES.items()} == MOVES
    assert sorted(edge for _, edge in EDGES) == sorted(Edge), "each edge leaves one state"


def test_an_admins_word_leads_along_an_edge_or_nowhere() -> None:
    led = {(state, verb): to for state in State for verb in Verb if (to := after(state, verb)) is not None}
    assert led == {
        (State.PENDING, Verb.APPROVE): State.APPROVED,
        (State.PENDING, Verb.REJECT): State.REJECTED,
        (State.APPROVED, Verb.REVOKE): State.REVOKED,
        (State.REJECTED, Verb.APPROVE): State.APPROVED,
        (State.REVOKED, Verb.REINSTATE): State.APPROVED,
    }


class Life(RuleBasedStateMachine):
    """One model in one org. The model is seen first at the start; rules come and go around it."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.row = START, None  # type: datetime, State | None
        self.rules: list[Rule] = []
        self.seen = [State.PENDING]

    @property
    def state(self) -> State:
        return state_of(self.row, self.rules, BACKEND, "llama-3", START)

    @rule(verb=st.sampled_from(Verb))
    def an_admin_says(self, verb: Verb) -> None:
        if (to := after(self.state, verb)) is not None:
            self.row = to

    @rule(backend=st.sampled_from([None, BACKEND, OTHER]), pattern=st.sampled_from(["*", "llama-*", "gemma-*"]))
    def a_rule_is_made(self, backend: UUID | None, pattern: str) -> None:
        self.rules.append(Rule(backend, pattern))

    @rule(data=st.data())
    def a_rule_ends(self, data: st.DataObject) -> None:
        self.now += timedelta(seconds=1)
        if self.rules:
            which = data.draw(st.integers(0, len(self.rules) - 1))
            ended = self.rules[which]
            self.rules[which] = Rule(ended.backend_id, ended.pattern, ended.ended_at or self.now)

    @invariant()
    def it_moves_along_edges_only(self) -> None:
        if self.seen[-1] is not self.state:
            self.seen.append(self.state)
        assert all((before, to) in MOVES for before, to in zip(self.seen, self.seen[1:], strict=False))

    @invariant()
    def what_somebody_decided_wins_over_rules(self) -> None:
        assert self.row is None or self.state is self.row

    @invariant()
    def a_rule_alone_makes_nothing_but_approved(self) -> None:
        assert self.row is not None or self.state in {State.PENDING, State.APPROVED}


TestLife = Life.TestCase


@given(ended=st.integers(-3, 3))
def test_a_rule_approves_what_was_seen_before_it_ended(ended: int) -> None:
    rule = Rule(None, "*", START + timedelta(days=ended))
    assert rule.approves(BACKEND, "llama-3", START) == (ended > 0)
