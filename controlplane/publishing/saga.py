"""Publishing as a list of steps, each with what it does and what takes it back. Pure; `steps.py` does it.

How far it has come is kept in `publications.status_step`, written before a step does anything outside of the database. So
whoever finds a publication with a step while nobody holds the gateway's lock knows that its publisher has died, and
what there is to take back. Taking back needs nothing but the row: it may be done twice, and by any process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

CANARY_ORG_ID = UUID("0198c0de-ca4a-7000-8000-000000000001")
"""Whose requests try a publication: they are nobody's use of it."""


class Step(StrEnum):
    """A step of publishing, in order."""

    VALIDATE = "validate"
    ROUTES = "routes"
    POLICIES = "policies"
    LIMITS = "limits"
    KEY = "key"
    CANARY = "canary"
    DOCUMENTATION = "documentation"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a step does, what takes it back, and what to do when it fails."""

    step: Step
    does: str
    undone_by: str
    """Empty: it leaves nothing that would have to be taken back."""
    advice: str


PUBLISH = (
    Stage(Step.VALIDATE, "checks names, tenants, quota, address and backends", "", "Correct the configuration as `detail` says."),
    Stage(
        Step.ROUTES,
        "inserts the row with its targets; the gateway takes clusters and routes",
        "the row becomes a tombstone without targets; the gateway takes the state without it",
        "Look at the gateway: is Envoy running, and what does its log say of the configuration?",
    ),
    Stage(Step.POLICIES, "says which tenants may call, and whether with a key", "no tenant may call", "Is the database well? Publish again."),
    Stage(Step.LIMITS, "sets limits, and how tokens are held", "", "Is the database well? Publish again."),
    Stage(Step.KEY, "makes the key of the owner", "the key is revoked", "Is the database well? Publish again."),
    Stage(
        Step.CANARY,
        "shows the model to the data plane; asks it through the gateway without a key and with one",
        "the data plane no longer sees it; the canary's key is revoked",
        "Ask the backend itself for the model. Slow engines need more time: IAS_CANARY_SECONDS.",
    ),
    Stage(Step.DOCUMENTATION, "renders the documentation", "", "Report the error: documentation is rendered from the configuration alone."),
    Stage(Step.PUBLISHED, "takes the canary away and ends the saga", "", "Is the database well? Publish again."),
)
"""What happens when a model is published, in order."""

_STAGES = {stage.step: stage for stage in PUBLISH}


def advice_for(step: Step) -> str:
    """Return what to do when a step has failed."""
    return _STAGES[step].advice


def to_take_back(reached: str | None) -> Sequence[Step]:
    """Return the steps to take back, last first, of a publication that has come to a step, that one included.

    A step that is unknown, or none, was written by another version: everything is taken back.
    """
    steps = [stage.step for stage in PUBLISH]
    last = steps.index(Step(reached)) if reached in set(steps) else len(steps) - 1
    return [stage.step for stage in reversed(PUBLISH[: last + 1]) if stage.undone_by]
