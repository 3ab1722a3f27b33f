"""Rules of approvals: the six edges of seed 003's state machine, and what rules approve by themselves. Pure.

pending ── approve ───────> approved ── revoke ──> revoked
   │  └─── auto-approve ──────^  ^ ^                  │
   └────── reject ──> rejected ──┘ └──── reinstate ───┘
                      (reconsider)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from controlplane.errors import Problem
from ias.model_patterns import matches


class State(StrEnum):
    """What an org has decided of a model."""

    PENDING = "pending"
    """Nothing yet: there is no row."""
    APPROVED = "approved"
    REJECTED = "rejected"
    REVOKED = "revoked"
    """It was approved before."""


class Edge(StrEnum):
    """Every way from one state to another."""

    APPROVE = "approve"
    AUTO_APPROVE = "auto-approve"
    REJECT = "reject"
    REVOKE = "revoke"
    RECONSIDER = "reconsider"
    REINSTATE = "reinstate"


EDGES = {
    (State.PENDING, Edge.APPROVE): State.APPROVED,
    (State.PENDING, Edge.AUTO_APPROVE): State.APPROVED,
    (State.PENDING, Edge.REJECT): State.REJECTED,
    (State.APPROVED, Edge.REVOKE): State.REVOKED,
    (State.REJECTED, Edge.RECONSIDER): State.APPROVED,
    (State.REVOKED, Edge.REINSTATE): State.APPROVED,
}


class Verb(StrEnum):
    """What an admin says. Whoever approves a rejected model reconsiders; to reinstate is a word of its own, so that nobody does it unawares."""

    APPROVE = "approve"
    REJECT = "reject"
    REVOKE = "revoke"
    REINSTATE = "reinstate"


_MEANS = {
    Verb.APPROVE: (Edge.APPROVE, Edge.RECONSIDER),
    Verb.REJECT: (Edge.REJECT,),
    Verb.REVOKE: (Edge.REVOKE,),
    Verb.REINSTATE: (Edge.REINSTATE,),
}
_ADVICE = {
    State.PENDING: "approve or reject it",
    State.APPROVED: "revoke it to take it away",
    State.REJECTED: "approve it to reconsider",
    State.REVOKED: "reinstate it",
}


def after(state: State, verb: Verb) -> State | None:
    """Return the state that an admin's word leads to; None: there is no such edge."""
    return next((EDGES[state, edge] for edge in _MEANS[verb] if (state, edge) in EDGES), None)


def wrong_state(model: str, state: State, verb: Verb) -> Problem:
    """There is no edge of that name from the state that a model is in."""
    return Problem(409, "wrong_approval_state", f"The model '{model}' is {state}, which is no state to {verb} from: {_ADVICE[state]}.")


@dataclass(frozen=True, slots=True)
class Rule:
    """Approves the models of a backend, or of all, whose engine's name matches."""

    backend_id: UUID | None
    pattern: str
    ended_at: datetime | None = None

    def approves(self, backend_id: UUID, upstream_model: str, first_seen_at: datetime) -> bool:
        """Whether it was in force at any time since the model was first seen: to end a rule takes nothing away."""
        in_force = self.ended_at is None or self.ended_at > first_seen_at
        return in_force and self.backend_id in {None, backend_id} and matches(upstream_model, self.pattern)


def state_of(decided: State | None, rules: Iterable[Rule], backend_id: UUID, upstream_model: str, first_seen_at: datetime) -> State:
    """Return the state of a model: what somebody decided wins over rules. The view `model_approval_states` says the same in SQL."""
    if decided is not None:
        return decided
    automatic = any(rule.approves(backend_id, upstream_model, first_seen_at) for rule in rules)
    return EDGES[State.PENDING, Edge.AUTO_APPROVE] if automatic else State.PENDING
