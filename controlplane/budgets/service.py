"""What happens to budgets, and what is left of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from controlplane import errors
from controlplane.budgets import rules
from controlplane.budgets.ports import BudgetCounters
from controlplane.budgets.repository import BudgetRepository
from controlplane.budgets.rules import Budget, Use
from controlplane.budgets.schemas import BudgetBody, BudgetView, CeilingBody, IncreaseBody
from controlplane.etag import check_version
from controlplane.limits.repository import LimitsRepository
from controlplane.limits.subject import Target
from controlplane.repository import Reach
from controlplane.unit_of_work import UnitOfWork
from ratelimit.ports import Period, StoreUnavailable

_COUNTERS_TIMEOUT_S = 0.5


async def read(target: Target, counters: BudgetCounters) -> list[BudgetView]:
    """Return the budgets of a subject as they stand."""
    uow, reach = target.access.uow, target.access.reach
    budgets = await BudgetRepository(uow, reach).of(target.subject)
    await uow.checkpoint()
    return await views(uow, reach, budgets, counters)


async def read_one(target: Target, period: Period, counters: BudgetCounters) -> tuple[BudgetView, int]:
    """Return one of them with its version; raise Problem 404."""
    budget = await _find(target, period)
    await target.access.uow.checkpoint()
    return await _view(target, budget, counters)


async def written(target: Target, period: Period, counters: BudgetCounters) -> tuple[BudgetView, int]:
    """Return what was just written, before its commit: audit row and change go together."""
    return await _view(target, await _find(target, period), counters)


async def put(target: Target, period: Period, body: BudgetBody, expected: int | None) -> None:
    """Set a budget; an increase that runs stays."""
    current = await _lock(target, period, expected)
    await _store(target, replace(current, tokens=body.tokens, thresholds=tuple(body.thresholds), dry_run=body.dry_run))


async def remove(target: Target, period: Period, expected: int | None) -> None:
    """Lift a budget with its increase; of an org's the ceiling stays."""
    current = await _lock(target, period, expected)
    if current.tokens is None:
        raise errors.not_found("budget")
    await _store(target, replace(current, tokens=None, extra_tokens=0, extra_until=None))


async def increase(target: Target, period: Period, body: IncreaseBody | None, expected: int | None) -> None:
    """Put tokens on top of a budget for a while, instead of an increase before; None: end it."""
    current = await _lock(target, period, expected)
    if current.tokens is None:
        raise errors.not_found("budget")
    extra = (0, None) if body is None else (body.tokens, body.until)
    await _store(target, replace(current, extra_tokens=extra[0], extra_until=extra[1]))


async def set_ceiling(target: Target, period: Period, body: CeilingBody | None, expected: int | None) -> None:
    """Say what an org's budget may be at most; a budget above it stays as it is set, and ends there. None: no ceiling."""
    current = await _lock(target, period, expected)
    if body is None and current.ceiling_tokens is None:
        raise errors.not_found("ceiling")
    await _store(target, replace(current, ceiling_tokens=body.tokens if body else None), checked=False)


async def views(uow: UnitOfWork, reach: Reach, budgets: Sequence[Budget], counters: BudgetCounters) -> list[BudgetView]:
    """Put budgets together with what was spent of them."""
    now = datetime.now(UTC)
    used = await uses(BudgetRepository(uow, reach), budgets, counters, now)
    return [BudgetView.of(budget, use, now) for budget, use in zip(budgets, used, strict=True)]


async def uses(repository: BudgetRepository, budgets: Sequence[Budget], counters: BudgetCounters, now: datetime) -> list[Use]:
    """Return what was spent and is held of budgets; from the ledger where the counters do not tell."""
    keys = [budget.counter(now) for budget in budgets]
    try:
        async with asyncio.timeout(_COUNTERS_TIMEOUT_S):
            told = [rules.use_of(state) for state in await counters.budgets(keys)]
    except (StoreUnavailable, TimeoutError):
        told = [None] * len(keys)
    sums = iter(await repository.spent([(key, key.end_ms) for key, use in zip(keys, told, strict=True) if use is None]))
    return [use or Use(next(sums), 0, False) for use in told]


async def _view(target: Target, budget: Budget, counters: BudgetCounters) -> tuple[BudgetView, int]:
    (view,) = await views(target.access.uow, target.access.reach, [budget], counters)
    return view, budget.version


async def _find(target: Target, period: Period) -> Budget:
    if (budget := await BudgetRepository(target.access.uow, target.access.reach).find(target.subject, period)) is None:
        raise errors.not_found("budget")
    return budget


async def _lock(target: Target, period: Period, expected: int | None) -> Budget:
    """Return the budget to change, or the empty one of version 0; raise Problem 412 when it is not the expected one."""
    subject, access = target.subject, target.access
    await LimitsRepository(access.uow, access.reach).lock(subject)
    current = await BudgetRepository(access.uow, access.reach).find(subject, period)
    current = current or Budget(subject.subject_id, subject.scope, subject.org_id, subject.user_id, period, None)
    check_version(expected, current.version, "budget")
    return current.at(datetime.now(UTC))


async def _store(target: Target, budget: Budget, checked: bool = True) -> None:
    repository = BudgetRepository(target.access.uow, target.access.reach)
    if checked:
        rules.check_ceiling(budget)
    if budget.tokens is None and budget.ceiling_tokens is None:
        await repository.remove(budget)
    else:
        await repository.put(budget)
    target.changed(period=budget.period)
