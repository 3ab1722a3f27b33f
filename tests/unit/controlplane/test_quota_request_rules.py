from typing import get_args

import pytest

from controlplane.errors import Problem
from controlplane.quota_requests.rules import COLUMNS, Kind, check_amount, check_more, decider
from controlplane.quota_requests.schemas import LimitName
from ias.roles import Permission


def test_every_limit_that_can_be_asked_for_is_kept_somewhere() -> None:
    assert set(get_args(LimitName)) == set(COLUMNS)


@pytest.mark.parametrize(("kind", "scope"), [(kind, scope) for kind in Kind for scope in ("org", "user", "key")])
def test_only_a_system_admin_raises_what_protects_others_from_an_org(kind: Kind, scope: str) -> None:
    expected = Permission.ORGS_MANAGE if (kind, scope) == (Kind.LIMIT, "org") else Permission.BUDGETS_SET
    assert decider(kind, scope) is expected


@pytest.mark.parametrize(
    ("kind", "current", "amount", "code"),
    [
        (Kind.BUDGET, None, 5, "nothing_limits"),
        (Kind.INCREASE, None, 5, "nothing_limits"),
        (Kind.LIMIT, None, 5, "nothing_limits"),
        (Kind.BUDGET, 5, 5, "not_more"),
        (Kind.LIMIT, 6, 5, "not_more"),
        (Kind.INCREASE, 6, 5, None),
        (Kind.BUDGET, 0, 1, None),
        (Kind.LIMIT, 0, 1, None),
    ],
)
def test_more_is_more_than_there_is(kind: Kind, current: int | None, amount: int, code: str | None) -> None:
    if code is None:
        check_more(kind, current, amount)
        return
    with pytest.raises(Problem) as refused:
        check_more(kind, current, amount)
    assert (refused.value.status, refused.value.code) == (409, code)


def test_no_amount_is_above_what_a_limit_can_be() -> None:
    check_amount(Kind.LIMIT, "requestsPerMinute", 2**31 - 1)
    check_amount(Kind.BUDGET, "month", 10**15)
    with pytest.raises(Problem, match="amount: must be at most"):
        check_amount(Kind.LIMIT, "requestsPerMinute", 2**31)
