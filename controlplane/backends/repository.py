"""SQL of the backends. They belong to no org: a reach of one org raises."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Double, Row, Select, Uuid, case, column, exists, func, insert, literal, or_, select, table
from sqlalchemy.dialects.postgresql import INTERVAL

from controlplane.backends.health import Condition, Probed, Thresholds, after_probe
from controlplane.backends.ports import Change, Intervals, Probe, Turn
from controlplane.backends.references import reference_of
from controlplane.backends.rules import Health, Verdict, as_id
from controlplane.errors import Problem
from controlplane.publishing.tables import publication_targets
from controlplane.repository import Repository, refusing
from controlplane.schema import backends, publications
from controlplane.usage.rollups import MODEL_QUARTER_HOURS
from controlplane.usage.tables import TABLES
from ias.gateway_views import ModelType
from ias.usage_event import Outcome

_targets = table("publication_backends", column("publication_id", Uuid), column("backend_id", Uuid))
"""A view: of publications of the version before, too."""
_seen = TABLES[MODEL_QUARTER_HOURS]
LIVING = backends.c.status != "deleted"
_PROBED = ("id", "base_url", "kind", "credential", "kubernetes")
"""Columns that a probe is made of."""


class BackendRepository(Repository):
    """Rows of `backends`."""

    async def add(self, values: Mapping[str, Any]) -> None:
        """Insert a backend that was not probed yet; raises Problem when a living one has the name."""
        taken = Problem(409, "backend_exists", f"There is a backend '{values['name']}' already. Choose another name, or delete that one first.")
        with refusing("backends_name", taken):
            await self.uow.execute(insert(backends).values(**values, kind=ModelType.OPENAI.value))

    async def find(self, id_or_name: str, *, for_update: bool = False) -> Row[Any] | None:
        """Return a living backend, locked if asked for."""
        query = self.living().where(or_(backends.c.name == id_or_name, backends.c.id == as_id(id_or_name)))
        return (await self.uow.execute(query.with_for_update() if for_update else query)).one_or_none()

    def living(self) -> Select[Any]:
        """Select all living backends."""
        return self.visible(backends).where(LIVING)

    async def every(self) -> Sequence[Row[Any]]:
        """Return all living backends in order of name."""
        return (await self.uow.execute(self.living().order_by(backends.c.name))).all()

    async def take_turns(self, most: int, intervals: Intervals, *, due: bool = True) -> Sequence[Turn]:
        """Take the probes whose time has come, or all; whoever else takes turns now, or within the interval, does not get these."""
        now = func.now()
        query = self.visible(backends, backends.c.id, (backends.c.next_discovery_at <= now).label("discovers")).where(LIVING)
        if due:
            query = query.where(backends.c.next_probe_at <= now)
        turn = query.order_by(backends.c.next_probe_at).limit(most).with_for_update(skip_locked=True).cte("turn")
        next_probe = _seconds(backends.c.probe_interval_s, intervals.probe)
        next_discovery = _seconds(backends.c.discovery_interval_s, intervals.discovery)
        taken = (
            self.update(backends)
            .where(backends.c.id == turn.c.id)
            .values(
                # Not all of a thousand in one moment.
                next_probe_at=_from_now(next_probe * (0.95 + 0.1 * func.random(type_=Double))),
                next_discovery_at=case((turn.c.discovers, _from_now(next_discovery)), else_=backends.c.next_discovery_at),
            )
            .returning(*(backends.c[name] for name in _PROBED), turn.c.discovers)
        )
        rows = (await self.uow.execute(taken)).all()
        return [Turn(row.id, probe_of(row, discovers=row.discovers or not due)) for row in rows]

    async def record(self, backend_id: UUID, verdict: Verdict, at: datetime, thresholds: Thresholds, *, decides: bool = False) -> Change | None:
        """Keep the result of a probe, unless that of a later one is there already; return how the health changed, None: it did not."""
        row = (await self.uow.execute(self.living().where(backends.c.id == backend_id).with_for_update())).one_or_none()
        if row is None or (row.checked_at is not None and row.checked_at > at):
            return None
        probed = Probed(at, verdict.reason, verdict.latency_ms, decides=decides or verdict.is_denied)
        after = after_probe(condition_of(row), probed, thresholds)
        values = _columns(after) | {"checked_at": at, "is_denied": verdict.is_denied}
        if verdict.models is not None and list(verdict.models) != row.models:
            values["models"] = list(verdict.models)
        if verdict.model_type is not None:
            values |= {"kind": verdict.model_type.value, "kind_reason": verdict.type_reason or None}
        moved = verdict.base_url not in ("", row.base_url)
        if moved:
            values["base_url"] = verdict.base_url
        await self.uow.execute(self.update(backends).where(backends.c.id == backend_id).values(values))
        denial = verdict.is_denied != row.is_denied
        if after.health == row.health and not denial and not moved:
            return None
        return Change(row.name, verdict.base_url or row.base_url, after.health, after.reason, denial, moved)

    async def change(self, backend_id: UUID, values: Mapping[str, Any]) -> None:
        """Change how a backend is reached and probed; its turn is now."""
        due = {"next_probe_at": func.now(), "next_discovery_at": func.now()}
        await self.uow.execute(self.update(backends).where(backends.c.id == backend_id, LIVING).values(**values, **due))

    async def seen_since(self, backend_id: UUID, since: datetime) -> tuple[int, int]:
        """Return how many requests an engine got, and how many of them it failed, by the ledger, in whole quarter hours.

        Only of publications that go to no other backend: of the others the ledger does not say which one answered.
        """
        alone = select(_targets.c.publication_id).group_by(_targets.c.publication_id).having(func.bool_and(_targets.c.backend_id == backend_id))
        rows = _seen.c
        query = self.visible(
            _seen,
            func.coalesce(func.sum(rows.requests), 0).label("requests"),
            func.coalesce(func.sum(rows.requests).filter(rows.outcome == Outcome.UPSTREAM_ERROR), 0).label("errors"),
        )
        found = (await self.uow.execute(query.where(rows.period_start >= since, rows.publication_id.in_(alone)))).one()
        return int(found.requests), int(found.errors)

    async def in_use(self, backend_id: UUID) -> bool:
        """Whether a publication sends its requests there."""
        is_target = exists().where(publication_targets.c.publication_id == publications.c.id, publication_targets.c.backend_id == backend_id)
        used = exists().where(publications.c.status != "deleted", or_(publications.c.backend_id == backend_id, is_target))
        return bool((await self.uow.execute(select(used))).scalar_one())

    async def remove(self, backend_id: UUID) -> None:
        """Make a tombstone of a backend: publications of the past refer to it."""
        await self.uow.execute(self.update(backends).where(backends.c.id == backend_id).values(status="deleted"))


def probe_of(row: Row[Any], *, discovers: bool = True) -> Probe:
    """Make the probe of a backend."""
    return Probe(row.base_url, ModelType(row.kind), row.credential, discovers, reference_of(row.kubernetes))


def condition_of(row: Row[Any]) -> Condition:
    """Return what is known of a backend."""
    return Condition(
        health=Health(row.health),
        reason=row.health_reason or "",
        against=row.probes_against,
        history=row.probe_history,
        probes=row.probes,
        latency_ms=row.latency_ms,
        changed_at=row.health_changed_at,
    )


def _columns(condition: Condition) -> dict[str, Any]:
    return {
        "health": condition.health.value,
        "health_reason": condition.reason or None,
        "probes_against": condition.against,
        "probe_history": condition.history,
        "probes": condition.probes,
        "latency_ms": condition.latency_ms,
        "health_changed_at": condition.changed_at,
    }


def _seconds(own: ColumnElement[Any], default: float) -> Any:
    return func.coalesce(own, literal(default, Double))


def _from_now(seconds: Any) -> Any:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds, type_=INTERVAL)
