"""Statements of analytics are made once for many questions: whose usage is asked for is never part of them, and never left out."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.exc import InvalidRequestError

from controlplane.repository import Reach
from controlplane.usage import analytics_sql as sql
from controlplane.usage.analytics_sql import Filters, Form
from controlplane.usage.dimensions import Dimension
from controlplane.usage.periods import Grain, Period
from controlplane.usage.rollups import ROLLUPS

MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)
ALPHA, BETA, ADA = (UUID(int=number) for number in range(3))


def asked(reach: Reach, since: datetime = MIDNIGHT, coarsest: Grain = Grain.DAY, only: Filters | None = None) -> tuple[Form, dict[str, object]]:
    return sql.form_of(reach, Period(since, None), coarsest, only or {}, ROLLUPS)


def test_questions_of_two_orgs_share_a_statement_and_no_value() -> None:
    (alpha, of_alpha), (beta, of_beta) = asked(Reach(ALPHA)), asked(Reach(BETA), MIDNIGHT - timedelta(days=3))
    assert sql.series(alpha, (), None) is sql.series(beta, (), None)
    assert (of_alpha["reach_org"], of_beta["reach_org"]) == (ALPHA, BETA)


@pytest.mark.parametrize("reach", [Reach(ALPHA), Reach(ALPHA, ADA)], ids=["org", "user"])
def test_a_statement_that_is_not_told_whose_usage_does_not_run(reach: Reach) -> None:
    form, values = asked(reach)
    for statement in (sql.series(form, (), None), sql.top(form, Dimension.ORG, "tokens"), sql.breakdown(form, (), (Dimension.ORG,))):
        compiled = statement.compile()
        compiled.construct_params(values | {"most": 1})
        for whose in ("reach_org", "reach_user") if reach.user_id else ("reach_org",):
            with pytest.raises(InvalidRequestError, match=whose):
                compiled.construct_params({name: value for name, value in values.items() if name != whose} | {"most": 1})


def test_each_reach_has_a_statement_of_its_own() -> None:
    forms = {asked(reach)[0] for reach in (Reach(None), Reach(ALPHA), Reach(ALPHA, ADA))}
    assert len(forms) == 3


def test_hours_and_weeks_are_read_where_a_rollup_tells_what_is_asked_for() -> None:
    def tables(reach: Reach, coarsest: Grain, by: tuple[Dimension, ...] = (), only: Filters | None = None) -> set[str]:
        form, _ = asked(reach, MIDNIGHT - timedelta(minutes=15), coarsest, only)
        return set(re.findall("usage_[a-z_]+|ledger", str(sql.series(form, by, None).compile())))

    assert tables(Reach(None), Grain.HOUR) == {"usage_hours", "usage_model_quarter_hours"}
    assert tables(Reach(ALPHA), Grain.HOUR) == {"usage_org_hours", "usage_org_model_quarter_hours"}
    assert tables(Reach(None), Grain.WEEK, (Dimension.ORG,)) == {"usage_org_weeks", "usage_org_days", "usage_org_model_quarter_hours"}
    assert tables(Reach(ALPHA), Grain.HOUR, (Dimension.MODEL,)) == {"usage_org_model_quarter_hours"}
    assert tables(Reach(None), Grain.HOUR, (), {Dimension.KEY: ADA}) == {"usage_quarter_hours"}
    assert tables(Reach(ALPHA, ADA), Grain.WEEK) == {"usage_days", "usage_quarter_hours"}


def test_rows_that_are_the_answer_are_not_added_up() -> None:
    day, hour = timedelta(days=1), timedelta(hours=1)

    def adds_up(reach: Reach, coarsest: Grain, width: timedelta | None, by: tuple[Dimension, ...] = (), since: datetime = MIDNIGHT) -> bool:
        return "sum(" in str(sql.series(asked(reach, since, coarsest)[0], by, width).compile())

    assert not adds_up(Reach(None), Grain.HOUR, hour)
    assert not adds_up(Reach(ALPHA), Grain.HOUR, hour)
    assert not adds_up(Reach(None), Grain.DAY, day, (Dimension.ORG,))
    assert adds_up(Reach(ALPHA), Grain.DAY, None)
    assert adds_up(Reach(None), Grain.DAY, day), "of many models"
    assert adds_up(Reach(ALPHA, ADA), Grain.DAY, day), "of many keys"
    assert adds_up(Reach(ALPHA), Grain.HOUR, hour, (), MIDNIGHT + timedelta(minutes=15)), "an hour of two parts"
