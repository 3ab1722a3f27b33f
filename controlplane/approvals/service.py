"""What happens to approvals. What an org may not use any more is closed at the gateway within a second; what runs goes on."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from controlplane import errors
from controlplane.approvals.repository import ApprovalRepository
from controlplane.approvals.rules import State, Verb, after, wrong_state
from controlplane.approvals.schemas import DecisionBody, DecisionView, NewRuleBody, moves_view
from controlplane.authorization import Access
from controlplane.backends.repository import BackendRepository
from controlplane.catalog.rules import canonical_id
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.orgs.repository import OrgRepository
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import UnitOfWork
from ias.gateway_views import ChangeKind
from ias.model_patterns import matches

MOST_RULES = 100
"""In force at once, of one org: each is asked for each model."""
_NAMED_IN_AUDIT = 100


async def decide(access: Access, org_id: UUID, verb: Verb, body: DecisionBody) -> DecisionView:
    """Take models along an edge, or say which would go. Raises Problem 404 or 409 for a model that is named and cannot."""
    repository = ApprovalRepository(access.uow, access.reach.within(org_id))
    await OrgRepository(access.uow, access.reach).locked(org_id)  # of two who decide the second sees what the first has decided
    moves = await _named(repository, verb, body.models) if body.models else await _meant(repository, verb, body)
    view = moves_view(body.dry_run, moves)
    if moves and not body.dry_run:
        await write(access, repository, org_id, [row.id for row, _ in moves], moves[0][1], body.reason)
    models = [one.model for one in view.models[:_NAMED_IN_AUDIT]]
    access.uow.audit(org_id=org_id, dry_run=body.dry_run, count=view.count, models=models)
    return view


async def write(access: Access, repository: ApprovalRepository, org_id: UUID, model_ids: Collection[UUID], state: State, reason: str | None) -> None:
    """Write a decision of some models and tell the gateway. The org is locked."""
    values = {"org_id": org_id, "state": state, "reason": reason, "decided_by": access.user_id, "decided_at": datetime.now(UTC)}
    await repository.decide(model_ids, values)
    await _announce(access.uow, repository, org_id, model_ids)


async def _named(repository: ApprovalRepository, verb: Verb, names: list[str]) -> list[tuple[Row[Any], State]]:
    found = await repository.named(set(names))
    moves: dict[UUID, tuple[Row[Any], State]] = {}
    for name in names:
        if (row := found.get(name)) is None:
            raise model_not_found(name)
        if (state := after(State(row.state), verb)) is None:
            raise wrong_state(name, State(row.state), verb)
        moves[row.id] = row, state
    return list(moves.values())


async def _meant(repository: ApprovalRepository, verb: Verb, body: DecisionBody) -> list[tuple[Row[Any], State]]:
    """Of all that the filter means, those from whose state there is a way."""
    rows = [row for row in await repository.of(body.backend) if body.pattern is None or matches(row.upstream_model, body.pattern)]
    return [(row, state) for row in rows if (state := after(State(row.state), verb)) is not None]


def model_not_found(name: str) -> Problem:
    """The catalog has no model of that name."""
    return Problem(404, "model_not_found", f"The catalog has no model '{name}'. A model is named by its id, 'backend::engine-name', or by an alias.")


async def add_rule(access: Access, org_id: UUID, body: NewRuleBody) -> Row[Any]:
    """Approve what matches, now and from now on, unless somebody decided otherwise. Raises Problem 404 or 409."""
    repository = ApprovalRepository(access.uow, access.reach.within(org_id))
    await OrgRepository(access.uow, access.reach).locked(org_id)
    if await repository.count_rules() >= MOST_RULES:
        raise Problem(409, "too_many_rules", f"The org has {MOST_RULES} rules in force, which is the limit: end one first.")
    backend_id = None
    if body.backend is not None:
        if (backend := await BackendRepository(access.uow, EVERYTHING).find(body.backend)) is None:
            raise errors.not_found("backend")
        backend_id = backend.id
    rule_id = new_id()
    await repository.add_rule({"id": rule_id, "org_id": org_id, "backend_id": backend_id, "pattern": body.pattern, "created_by": access.user_id})
    await _announce(access.uow, repository, org_id, None)
    access.uow.audit(org_id=org_id, rule_id=str(rule_id))
    return await _rule(repository, rule_id)


async def end_rule(access: Access, rule_id: UUID) -> Row[Any]:
    """End a rule: what it has approved stays approved, models that come later are pending. Ending it twice changes nothing."""
    repository = ApprovalRepository(access.uow, access.reach)
    rule = await _rule(repository, rule_id)
    await repository.end_rule(rule_id, access.user_id, datetime.now(UTC))
    access.uow.changed(ChangeKind.APPROVALS, rule.org_id)
    access.uow.audit(org_id=rule.org_id, rule_id=str(rule_id))
    return await _rule(repository, rule_id)


async def _rule(repository: ApprovalRepository, rule_id: UUID) -> Row[Any]:
    if (row := await repository.rule(rule_id)) is None:
        raise errors.not_found("approval rule")
    return row


async def _announce(uow: UnitOfWork, repository: ApprovalRepository, org_id: UUID, model_ids: Collection[UUID] | None) -> None:
    uow.changed(ChangeKind.APPROVALS, org_id)
    for publication_id in await repository.publications_with(model_ids):
        uow.changed(ChangeKind.PUBLICATION, publication_id)


def name_of(row: Row[Any]) -> str:
    """Return the canonical id of a row of models."""
    return canonical_id(row.backend, row.upstream_model)
