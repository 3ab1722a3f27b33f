"""Rules of the catalog: names of models, and what a discovery makes of them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from controlplane.catalog.engine_list import Told

MISSES = 3
"""Discoveries in a row that do not tell of a model any more, after which it is deprecated."""
SEEN_PRECISION = timedelta(hours=1)
"""`last_seen_at` is that exact: thousands of rows are not written at each discovery to say that nothing changed."""
SEPARATOR = "::"


class Status(StrEnum):
    """Whether a model is there."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"


class ChangeOfModel(StrEnum):
    """Why there is a row of history."""

    UPDATED = "updated"
    """The backend tells other facts."""
    DEPRECATED = "deprecated"
    """The backend does not tell of it any more."""
    RETURNED = "returned"
    """The backend tells of it again."""
    EDITED = "edited"
    """A person changed it."""


@dataclass(frozen=True, slots=True)
class Known:
    """A model as the catalog has it, as far as discovery writes it."""

    id: UUID
    status: Status
    missed: int
    last_seen_at: datetime
    told: Told


@dataclass(frozen=True, slots=True)
class Step:
    """How a known model comes out of a discovery; `kind` None: nothing that history would tell."""

    after: Known
    kind: ChangeOfModel | None = None
    changes: dict[str, list[Any]] | None = None
    """Of each fact that changed: before and after."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a discovery changes. A model that is not mentioned stays as it is."""

    new: tuple[Told, ...]
    steps: tuple[Step, ...]

    def count(self, kind: ChangeOfModel) -> int:
        """How many models changed in this way."""
        return sum(step.kind is kind for step in self.steps)

    @property
    def missing(self) -> int:
        """How many models the backend left out and are waited for."""
        return sum(step.after.missed > 0 and step.kind is None for step in self.steps)


def reconcile(told: Iterable[Told], known: Iterable[Known], now: datetime, misses: int = MISSES) -> Discovery:
    """Compare what a backend told with what the catalog holds of it. A backend that did not answer is never compared: it counts no miss."""
    by_name = {one.upstream_model: one for one in told}
    steps = []
    for model in known:
        found = by_name.pop(model.told.upstream_model, None)
        step = _missed(model, misses) if found is None else _seen(model, found, now)
        if step is not None:
            steps.append(step)
    return Discovery(tuple(by_name.values()), tuple(steps))


def _seen(model: Known, found: Told, now: datetime) -> Step | None:
    after = replace(model, status=Status.ACTIVE, missed=0, last_seen_at=now, told=found)
    changes = differences(model.told, found)
    if model.status is Status.DEPRECATED:
        return Step(after, ChangeOfModel.RETURNED, changes)
    if changes:
        return Step(after, ChangeOfModel.UPDATED, changes)
    return Step(after) if model.missed or now - model.last_seen_at >= SEEN_PRECISION else None


def _missed(model: Known, misses: int) -> Step | None:
    if model.status is Status.DEPRECATED:
        return None
    after = replace(model, missed=model.missed + 1)
    if after.missed < misses:
        return Step(after)
    return Step(replace(after, status=Status.DEPRECATED), ChangeOfModel.DEPRECATED, {})


FACTS = {
    "contextTokens": "context_tokens",
    "outputTokens": "output_tokens",
    "capabilities": "capabilities",
    "modalities": "modalities",
    "metadata": "metadata",
}
"""What a backend tells of a model, by the names of the API."""


def differences(before: Told, after: Told) -> dict[str, list[Any]]:
    """Return the facts that differ: before and after."""
    pairs = {name: [getattr(before, attribute), getattr(after, attribute)] for name, attribute in FACTS.items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def canonical_id(backend: str, upstream_model: str) -> str:
    """Return the name of a model in the whole catalog; names of backends hold no colon."""
    return f"{backend}{SEPARATOR}{upstream_model}"


def split_id(model: str) -> tuple[str, str] | None:
    """Return (backend, upstream model) of a canonical id; None for what is none, and so may be an alias."""
    backend, separator, upstream_model = model.partition(SEPARATOR)
    return (backend, upstream_model) if separator and backend and upstream_model else None


def tidy(words: Sequence[str]) -> list[str]:
    """Return words in the one form in which they are kept: lower case, sorted, each once."""
    return sorted({word.lower() for word in words})
