"""Requests for more: asked by a user, granted or not by an admin, in effect in the moment of the approval."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.component.controlplane.mailbox import Mailbox
from tests.component.controlplane.world import World

BUDGET = {"scope": "org", "kind": "budget", "period": "month", "amount": 2_000, "reason": "The launch is next week."}


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0).isoformat()


@pytest.fixture
async def limited(world: World) -> World:
    """Alpha with a budget and limits, its user with both, and a key of the user with both."""
    root, user = world["root"], world["alpha-user"]
    key = await user.ok("POST", "/key", {"name": "ci", "rateLimiting": {"requestsPerMinute": 10, "burstLimit": 2}})
    world.key_id = key["id"]  # type: ignore[attr-defined]
    for path in ("/org/alpha", f"/user/{user.user_id}", f"/key/{key['id']}"):
        await root.ok("PUT", f"{path}/budget/month", {"tokens": 1_000, "thresholds": [75], "dryRun": path.startswith("/key")})
        await root.ok("PUT", f"{path}/limits", {"requestsPerMinute": 10, "burstLimit": 2})
    return world


async def ask(world: World, who: str = "alpha-user", **changes: Any) -> Any:
    return await world[who].call("POST", "/quota_request", {**BUDGET, **changes})


async def test_what_is_approved_is_in_effect_with_all_else_as_it_was(limited: World) -> None:
    user, admin = limited["alpha-user"], limited["alpha-admin"]
    made = await ask(limited)
    assert made.status_code == 201, made.text
    asked = made.json()
    assert made.headers["location"] == f"/api/quota_request/{asked['id']}"
    assert {name: asked[name] for name in ("state", "username", "period", "limit", "amount", "grantedAmount", "decidedBy")} == {
        "state": "open",
        "username": "alpha-user",
        "period": "month",
        "limit": None,
        "amount": 2_000,
        "grantedAmount": None,
        "decidedBy": None,
    }
    changes = len(await limited.changes())
    granted = await admin.ok("POST", f"/quota_request/{asked['id']}/approve", {"amount": 1_500, "answer": "Let us see."})
    assert (granted["state"], granted["grantedAmount"], granted["answer"]) == ("approved", 1_500, "Let us see.")
    assert granted["decidedBy"] == str(admin.user_id)
    budget = await user.ok("GET", "/org/alpha/budget/month")
    assert (budget["tokens"], budget["thresholds"]) == (1_500, [75])
    assert (await limited.changes())[changes:] == [("org", str(limited.orgs["alpha"]))]
    row = (await limited.audit())[-1]
    assert (row.action_type, row.outcome, row.org_id) == ("quota_request.approve", "ok", limited.orgs["alpha"])
    assert (row.payload["quota_request_id"], row.payload["amount"], row.payload["period"]) == (asked["id"], 1_500, "month")


@pytest.mark.parametrize("scope", ["org", "user", "key"])
async def test_each_kind_for_each_whom(limited: World, scope: str) -> None:
    user, root = limited["alpha-user"], limited["root"]
    key_id = limited.key_id  # type: ignore[attr-defined]
    whom: dict[str, Any] = {"scope": scope} | ({"keyId": key_id} if scope == "key" else {})
    path = {"org": "/org/alpha", "user": f"/user/{user.user_id}", "key": f"/key/{key_id}"}[scope]
    until = in_days(3)
    limit = {"kind": "limit", "period": None, "limit": "burstLimit", "amount": 5}
    for changes in ({}, {"kind": "increase", "until": until, "amount": 500}, limit):
        asked = await ask(limited, **whom, **changes)
        assert asked.status_code == 201, asked.text
        await root.ok("POST", f"/quota_request/{asked.json()['id']}/approve")
    budget = await root.ok("GET", f"{path}/budget/month")
    assert (budget["tokens"], budget["extraTokens"], budget["effectiveTokens"], budget["dryRun"]) == (2_000, 500, 2_500, scope == "key")
    assert datetime.fromisoformat(budget["extraUntil"]) == datetime.fromisoformat(until)
    limits = await root.ok("GET", f"{path}/limits")
    assert (limits["requestsPerMinute"], limits["burstLimit"]) == (10, 5)


async def test_an_approval_above_the_ceiling_changes_nothing(limited: World) -> None:
    await limited["root"].ok("PUT", "/org/alpha/budget/month/ceiling", {"tokens": 1_800})
    asked = (await ask(limited)).json()
    path = f"/quota_request/{asked['id']}"
    assert problem(await limited["alpha-admin"].call("POST", f"{path}/approve")) == (422, "budget_above_ceiling")
    assert (await limited["alpha-admin"].ok("GET", path))["state"] == "open"
    assert (await limited["alpha-admin"].ok("GET", "/org/alpha/budget/month"))["tokens"] == 1_000
    await limited["alpha-admin"].ok("POST", f"{path}/approve", {"amount": 1_800})


async def test_limits_of_an_org_are_for_a_system_admin_to_grant(limited: World) -> None:
    asked = (await ask(limited, kind="limit", period=None, limit="requestsPerMinute", amount=20)).json()
    path = f"/quota_request/{asked['id']}"
    for answer, body in (("approve", None), ("reject", {"reason": "no"})):
        assert problem(await limited["alpha-admin"].call("POST", f"{path}/{answer}", body)) == (403, "forbidden")
    await limited["root"].ok("POST", f"{path}/approve")


async def test_it_ends_once(limited: World) -> None:
    user, admin = limited["alpha-user"], limited["alpha-admin"]
    ends = {"approve": (admin, None), "reject": (admin, {"reason": "There is enough."}), "withdraw": (user, None)}
    for first in ends:
        asked = (await ask(limited, amount=5_000)).json()
        path = f"/quota_request/{asked['id']}"
        ended = await ends[first][0].ok("POST", f"{path}/{first}", ends[first][1])
        for action, (who, body) in ends.items():
            assert problem(await who.call("POST", f"{path}/{action}", body)) == (409, "request_not_open")
        assert await user.ok("GET", path) == ended
        await limited["root"].ok("PUT", "/org/alpha/budget/month", {"tokens": 1_000})
    assert {one["state"] for one in (await user.ok("GET", "/quota_request"))["items"]} == {"approved", "rejected", "withdrawn"}


async def test_of_many_who_decide_at_once_one_does(limited: World) -> None:
    path = f"/quota_request/{(await ask(limited)).json()['id']}"
    calls = [limited[who].call("POST", f"{path}/approve") for who in ("alpha-admin", "root")]
    calls += [limited["alpha-admin"].call("POST", f"{path}/reject", {"reason": "no"}), limited["alpha-user"].call("POST", f"{path}/withdraw")]
    assert sorted(answer.status_code for answer in await asyncio.gather(*calls)) == [200, 409, 409, 409]


async def test_nobody_asks_for_the_same_twice_also_at_once(limited: World) -> None:
    answers = await asyncio.gather(*(ask(limited, amount=amount) for amount in (2_000, 3_000, 4_000)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"already_asked"}
    assert (await ask(limited, who="alpha-admin")).status_code == 201, "another person may"
    mine = next(answer.json() for answer in answers if answer.status_code == 201)
    await limited["alpha-user"].ok("POST", f"/quota_request/{mine['id']}/withdraw")
    assert (await ask(limited)).status_code == 201


async def test_what_nobody_decides_expires_and_can_be_asked_for_again(limited: World) -> None:
    user, admin = limited["alpha-user"], limited["alpha-admin"]
    asked = (await ask(limited)).json()
    await limited.rows("UPDATE quota_requests SET expires_at = now() RETURNING 1")
    assert problem(await admin.call("POST", f"/quota_request/{asked['id']}/approve")) == (409, "request_not_open")
    for state, count in (("open", 0), ("expired", 1)):
        assert len((await user.ok("GET", f"/quota_request?state={state}"))["items"]) == count
        assert len((await admin.ok("GET", f"/org/alpha/quota_request?state={state}"))["items"]) == count
    assert (await user.ok("GET", f"/quota_request/{asked['id']}"))["state"] == "expired"
    assert (await ask(limited)).status_code == 201
    assert (await user.ok("GET", f"/quota_request/{asked['id']}"))["state"] == "expired"


async def test_open_requests_are_bounded(limited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controlplane.quota_requests.rules.MOST_OPEN", 2)
    assert (await ask(limited)).status_code == 201
    assert (await ask(limited, scope="user")).status_code == 201
    assert problem(await ask(limited, kind="increase", until=in_days(1))) == (409, "too_many_open_requests")


async def test_there_is_something_to_raise(limited: World) -> None:
    assert problem(await ask(limited, amount=1_000)) == (409, "not_more")
    assert problem(await ask(limited, period="day")) == (409, "nothing_limits")
    assert problem(await ask(limited, kind="limit", period=None, limit="tokensPerHour")) == (409, "nothing_limits")
    asked = (await ask(limited)).json()
    await limited["root"].ok("PUT", "/org/alpha/budget/month", {"tokens": 9_000})
    assert problem(await limited["alpha-admin"].call("POST", f"/quota_request/{asked['id']}/approve")) == (409, "not_more"), "nothing is lowered"


async def test_everybody_sees_what_concerns_them(limited: World) -> None:
    await limited.add("colleague", "alpha")
    asked = (await ask(limited)).json()
    path = f"/quota_request/{asked['id']}"
    for who, status in (("alpha-user", 200), ("alpha-admin", 200), ("root", 200), ("colleague", 404), ("beta-admin", 404)):
        assert (await limited[who].call("GET", path)).status_code == status, who
    assert problem(await limited["colleague"].call("POST", f"{path}/withdraw")) == (404, "quota_request_not_found")
    assert (await limited["alpha-admin"].ok("GET", "/quota_request"))["items"] == []
    assert problem(await ask(limited, who="colleague", scope="key", keyId=limited.key_id)) == (404, "key_not_found")  # type: ignore[attr-defined]
    assert problem(await ask(limited, who="root")) == (403, "forbidden")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"amount": 0}, "amount"),
        ({"amount": 10**15 + 1}, "amount"),
        ({"kind": "limit", "period": None, "limit": "requestsPerMinute", "amount": 2**31}, "amount"),
        ({"kind": "increase"}, "body"),
        ({"until": "2999-01-01T00:00:00Z"}, "body"),
        ({"kind": "increase", "until": "2001-01-01T00:00:00Z"}, "until"),
        ({"scope": "key"}, "body"),
        ({"period": None}, "body"),
        ({"limit": "tokensPerHour"}, "body"),
        ({"scope": "all"}, "scope"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_by_the_name_of_the_field(limited: World, changes: dict[str, Any], field: str) -> None:
    response = await ask(limited, **changes)
    assert response.status_code == 422, response.text
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_who_asked_gets_a_mail_when_it_is_decided(limited: World, mailbox: Mailbox) -> None:
    user, admin = limited["alpha-user"], limited["alpha-admin"]
    await limited.rows("UPDATE users SET email = 'user@alpha.example' WHERE id = :id RETURNING id", id=user.user_id)
    for amount, decide, body in ((2_000, "approve", {"amount": 1_500, "answer": "Let us see."}), (9_000, "reject", {"reason": "No money."})):
        asked = (await ask(limited, amount=amount)).json()
        await admin.ok("POST", f"/quota_request/{asked['id']}/{decide}", body)
    granted, refused = mailbox.mails()
    texts = [mail.get_content().replace("\r\n", "\n") for mail in (granted, refused)]
    assert granted["to"] == refused["to"] == "user@alpha.example"
    assert granted["subject"] == "Your request for more on IAS was approved"
    assert "You asked for a budget of 2,000 tokens each month.\n\nIt was approved: a budget of 1,500 tokens each month.\n\nLet us see." in texts[0]
    assert "It was rejected.\n\nNo money." in texts[1]


async def test_a_decision_stands_where_no_mail_goes_out(limited: World) -> None:
    """Without a mailer, and for a user without an address."""
    user, admin = limited["alpha-user"], limited["alpha-admin"]
    for email in (None, "user@alpha.example"):
        await limited.rows("UPDATE users SET email = :email WHERE id = :id RETURNING id", id=user.user_id, email=email)
        asked = (await ask(limited)).json()
        assert (await admin.ok("POST", f"/quota_request/{asked['id']}/reject", {"reason": "No."}))["state"] == "rejected"
