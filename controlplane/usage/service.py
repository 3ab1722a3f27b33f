"""What people ask of the ledger."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Row

from controlplane.errors import Problem, not_found
from controlplane.repository import Reach
from controlplane.schema import keys, orgs, users
from controlplane.unit_of_work import UnitOfWork
from controlplane.usage import schemas
from controlplane.usage.periods import Grain, Period
from controlplane.usage.repository import UsageRepository

DEFAULT_DAYS = 30
LONGEST_DAYS = 400
MOST_POINTS = 1_000


def period_of(query: schemas.PeriodQuery, now: datetime) -> Period:
    """Return the period that a query asks for; raise Problem for one that is empty or too long."""
    try:
        end = query.to and query.to.astimezone(UTC)
        start = query.from_.astimezone(UTC) if query.from_ else (end or now) - timedelta(days=DEFAULT_DAYS)
    except OverflowError:
        raise Problem(422, "invalid_period", "The period leaves the calendar: use years from 1 to 9999 in UTC.") from None
    if (end or now) < start:
        raise Problem(422, "invalid_period", "The period ends before it begins: 'from' must be before 'to' and before now.")
    if (end or now) - start > timedelta(days=LONGEST_DAYS):
        raise Problem(422, "invalid_period", f"The period is longer than {LONGEST_DAYS} days. Ask for shorter ones.")
    return Period(start, end)


async def org_usage(uow: UnitOfWork, reach: Reach, query: schemas.PeriodQuery) -> schemas.OrgUsageView:
    """Sum up the usage within the reach of one org."""
    repository = UsageRepository(uow, reach)
    period = period_of(query, datetime.now(UTC))
    total, (by_model, by_user, by_key, by_outcome) = await repository.sums(period, "model", "user_id", "key_id", "outcome")
    usernames = await _names(repository, users.c.username, by_user, "user_id")
    key_names = await _names(repository, keys.c.name, by_key, "key_id")
    return schemas.OrgUsageView(
        **_common(period, total, by_model, by_outcome),
        by_user=[schemas.UserSums(**schemas.sums_of(row, user_id=row.user_id, username=usernames.get(row.user_id))) for row in by_user],
        by_key=[schemas.KeySums(**schemas.sums_of(row, key_id=row.key_id, name=key_names.get(row.key_id))) for row in by_key],
    )


async def system_usage(uow: UnitOfWork, reach: Reach, query: schemas.PeriodQuery) -> schemas.SystemUsageView:
    """Sum up everyone's usage."""
    repository = UsageRepository(uow, reach)
    period = period_of(query, datetime.now(UTC))
    total, (by_org, by_model, by_outcome) = await repository.sums(period, "org_id", "model", "outcome")
    slugs = await _names(repository, orgs.c.slug, by_org, "org_id")
    return schemas.SystemUsageView(
        **_common(period, total, by_model, by_outcome),
        by_org=[schemas.OrgSums(**schemas.sums_of(row, org_id=row.org_id, slug=slugs.get(row.org_id))) for row in by_org],
    )


async def series(uow: UnitOfWork, reach: Reach, query: schemas.SeriesQuery) -> schemas.SeriesView:
    """Sum up the usage of each interval of a period; raise Problem for more intervals than are answered at once."""
    now = datetime.now(UTC)
    period = period_of(query, now)
    width = query.interval.width
    if ((period.end or now) - period.start) / width > MOST_POINTS:
        raise Problem(422, "invalid_period", f"The period has more than {MOST_POINTS} intervals. Ask for a shorter one, or for longer intervals.")
    coarsest = Grain.DAY if query.interval is schemas.Interval.DAY else Grain.QUARTER_HOUR
    rows = await UsageRepository(uow, reach).series(period, width, coarsest)
    points = [schemas.Point(**schemas.sums_of(row, start=row.start)) for row in rows]
    return schemas.SeriesView(**_bounds(period), interval=query.interval, points=points)


async def request_rows(uow: UnitOfWork, reach: Reach, request_id: str) -> schemas.RequestList:
    """Return the ledger's rows of a request id; raise Problem when there is none within the reach."""
    rows = await UsageRepository(uow, reach).of_request(request_id)
    if not rows:
        raise not_found("request")
    return schemas.RequestList(items=[schemas.RequestView.model_validate(row) for row in rows])


async def _names(repository: UsageRepository, name: Column[Any], rows: Sequence[Row[Any]], id_field: str) -> dict[UUID, str]:
    return await repository.names(name, [getattr(row, id_field) for row in rows])


def _common(period: Period, total: Row[Any], by_model: Sequence[Row[Any]], by_outcome: Sequence[Row[Any]]) -> dict[str, Any]:
    return {
        **_bounds(period),
        "totals": schemas.Sums(**schemas.sums_of(total)),
        "by_model": [schemas.ModelSums(**schemas.sums_of(row, model=row.model)) for row in by_model],
        "by_outcome": [schemas.OutcomeSums(**schemas.sums_of(row, outcome=row.outcome)) for row in by_outcome],
    }


def _bounds(period: Period) -> dict[str, Any]:
    return {"from_": period.start, "to": period.end}
