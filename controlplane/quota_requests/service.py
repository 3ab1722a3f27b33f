"""What happens to requests for more. An approval changes the budget or the limit in its own transaction."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from controlplane import errors
from controlplane.accounts.repository import AccountRepository
from controlplane.authorization import Access, reach_of
from controlplane.budgets import service as budgets
from controlplane.budgets.repository import BudgetRepository
from controlplane.budgets.schemas import BudgetBody, IncreaseBody
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.keys.service import find as find_key
from controlplane.limits import service as limits
from controlplane.limits.repository import LimitsRepository
from controlplane.limits.schemas import Limits, OrgLimits
from controlplane.limits.subject import Scope, Subject, Target
from controlplane.quota_requests import rules
from controlplane.quota_requests.repository import QuotaRequestRepository
from controlplane.quota_requests.rules import Kind, State
from controlplane.quota_requests.schemas import ApprovalBody, NewQuotaRequestBody
from ias.roles import Permission
from ratelimit.ports import Period


async def ask(access: Access, body: NewQuotaRequestBody) -> Row[Any]:
    """Ask for more; raise Problem 409 when that makes no sense now, or was asked for already."""
    rules.check_amount(body.kind, body.name, body.amount)
    target = await _asked_for(access, body)
    repository = QuotaRequestRepository(access.uow, access.reach)
    await AccountRepository(access.uow, access.reach).lock(access.user_id)
    if await repository.count_open(access.user_id) >= rules.MOST_OPEN:
        raise Problem(409, "too_many_open_requests", f"You have {rules.MOST_OPEN} open requests, which is the limit: withdraw one first.")
    rules.check_more(body.kind, await _current(target, body.kind, body.name), body.amount)
    subject, quota_request_id = target.subject, new_id()
    await repository.add(
        {
            "id": quota_request_id,
            "org_id": subject.org_id,
            "user_id": access.user_id,
            "scope": subject.scope,
            "subject_id": subject.subject_id,
            "name": body.name,
            "expires_at": datetime.now(UTC) + rules.LIFETIME,
            **body.model_dump(include={"kind", "amount", "until", "reason"}),
        }
    )
    access.uow.audit(quota_request_id=str(quota_request_id))
    return await find(access, quota_request_id)


async def approve(access: Access, quota_request_id: UUID, body: ApprovalBody) -> Row[Any]:
    """Grant what is asked for, or another amount, and put it into effect. Raises Problem 403, 409 or, above a ceiling, 422."""
    row, decider = await _deciding(access, quota_request_id, State.APPROVED)
    kind, amount = Kind(row.kind), body.amount or row.amount
    until = (body.until or row.until) if kind is Kind.INCREASE else None
    if until is not None and until <= datetime.now(UTC):
        raise errors.invalid_field("until", "is in the past by now: say until when")
    rules.check_amount(kind, row.name, amount)
    owner = row.user_id if row.scope != Scope.ORG else None
    target = Target(decider, Subject(Scope(row.scope), row.subject_id, row.org_id, owner))
    await LimitsRepository(access.uow, decider.reach).lock(target.subject)
    rules.check_more(kind, await _current(target, kind, row.name), amount)
    await _grant(target, kind, row.name, amount, until)
    repository = QuotaRequestRepository(access.uow, access.reach)
    granted = {"granted_amount": amount, "granted_until": until, "answer": body.answer}
    await repository.end(row.id, State.APPROVED, datetime.now(UTC), decided_by=access.user_id, **granted)
    access.uow.audit(org_id=row.org_id, quota_request_id=str(row.id), amount=amount)
    return await find(access, row.id)


async def reject(access: Access, quota_request_id: UUID, reason: str) -> Row[Any]:
    """Say no, and why."""
    row, _ = await _deciding(access, quota_request_id, State.REJECTED)
    await QuotaRequestRepository(access.uow, access.reach).end(row.id, State.REJECTED, datetime.now(UTC), decided_by=access.user_id, answer=reason)
    access.uow.audit(org_id=row.org_id, quota_request_id=str(row.id))
    return await find(access, row.id)


async def withdraw(access: Access, quota_request_id: UUID) -> Row[Any]:
    """Take an own request back."""
    row = await _lock(access, quota_request_id, State.WITHDRAWN)
    await QuotaRequestRepository(access.uow, access.reach).end(row.id, State.WITHDRAWN, datetime.now(UTC))
    access.uow.audit(quota_request_id=str(row.id))
    return await find(access, row.id)


async def find(access: Access, quota_request_id: UUID) -> Row[Any]:
    """Return a request within the reach; raise Problem 404."""
    if (row := await QuotaRequestRepository(access.uow, access.reach).by_id(quota_request_id)) is None:
        raise errors.not_found("quota request")
    return row


async def _asked_for(access: Access, body: NewQuotaRequestBody) -> Target:
    """Find whom it is for: the own org, as everybody in it may see its budgets, oneself, or an own key."""
    org_id = access.principal.org_id
    assert org_id is not None, "the matrix gives nobody without an org this permission"
    if body.scope is Scope.ORG:
        reach = reach_of(access.principal, (Permission.ORG_USAGE_VIEW,))
        assert reach is not None, "who has keys sees the usage of the org"
        return Target(Access(access.uow, access.principal, reach), Subject(Scope.ORG, org_id, org_id))
    subject_id = (await find_key(access, body.key_id)).id if body.key_id else access.user_id
    return Target(access, Subject(body.scope, subject_id, org_id, access.user_id))


async def _deciding(access: Access, quota_request_id: UUID, to: State) -> tuple[Row[Any], Access]:
    """Hold an open request; return it, and the access by which what it asks for can be done. Raises Problem 403, 404 or 409."""
    row = await _lock(access, quota_request_id, to)
    reach = reach_of(access.principal, (rules.decider(Kind(row.kind), row.scope),))
    if reach is None:
        raise errors.forbidden()
    return row, Access(access.uow, access.principal, reach)


async def _lock(access: Access, quota_request_id: UUID, to: State) -> Row[Any]:
    if (row := await QuotaRequestRepository(access.uow, access.reach).lock(quota_request_id)) is None:
        raise errors.not_found("quota request")
    rules.check_move(rules.state_at(State(row.state), row.expires_at, datetime.now(UTC)), to)
    return row


async def _current(target: Target, kind: Kind, name: str) -> int | None:
    """Return what holds now; None: nothing."""
    uow, reach = target.access.uow, target.access.reach
    if kind is Kind.LIMIT:
        row = await LimitsRepository(uow, reach).read(target.subject)
        limit: int | None = getattr(row, rules.COLUMNS[name][0])
        return limit
    budget = await BudgetRepository(uow, reach).find(target.subject, Period(name))
    if budget is None:
        return None
    return budget.tokens if budget.tokens is not None or kind is Kind.INCREASE else budget.ceiling_tokens


async def _grant(target: Target, kind: Kind, name: str, amount: int, until: datetime | None) -> None:
    """Do what was asked for, as the routes of budgets and limits do it."""
    if kind is Kind.LIMIT:
        model = OrgLimits if target.subject.scope is Scope.ORG else Limits
        current, _ = await limits.get(target, model)
        await limits.replace(target, current.model_copy(update={rules.COLUMNS[name][0]: amount}), None)
        return
    if until is not None:
        await budgets.increase(target, Period(name), IncreaseBody(tokens=amount, until=until), None)
        return
    budget = await BudgetRepository(target.access.uow, target.access.reach).find(target.subject, Period(name))
    assert budget is not None, "`check_more` has seen it, and the subject is locked"
    body = BudgetBody(tokens=amount, thresholds=list(budget.thresholds), dry_run=budget.dry_run)
    await budgets.put(target, Period(name), body, None)
