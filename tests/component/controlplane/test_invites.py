"""From an invite to a signed-in user, and everything that a link must not do."""

import asyncio
from typing import Any

import pytest

from tests.component.controlplane.mailbox import Mailbox
from tests.component.controlplane.world import PASSWORD, World

NEW = "a password of her own"


async def invite(world: World, who: str = "alpha-admin", **body: str) -> Any:
    return await world[who].ok("POST", "/org/alpha/invite", {"email": "Eve@example.org", **body})


async def accept(world: World, token: str, **body: str) -> Any:
    return await world.http.post("/api/invite/accept", json={"token": token, "password": NEW, **body})


async def test_an_invited_person_sets_a_password_and_is_signed_in(world: World, mailbox: Mailbox) -> None:
    sent = await invite(world, role="org_admin")
    text, token = mailbox.last("Eve@example.org")
    assert "Alpha" in text
    assert (sent["status"], sent["delivery"]) == ("pending", "sent")
    assert sent["link"] == f"http://127.0.0.1:8085/invite#token={token}"
    assert [path.stat().st_mode & 0o777 for path in mailbox.folder.iterdir()] == [0o600]

    session = (await accept(world, token)).json()
    assert (session["user"]["username"], session["user"]["role"], session["user"]["orgId"]) == (
        "Eve@example.org",
        "org_admin",
        str(world.orgs["alpha"]),
    )
    users = await world.http.get("/api/org/alpha/user", headers={"authorization": f"Bearer {session['token']}"})
    assert "Eve@example.org" in {user["email"] for user in users.json()["items"]}
    assert (await world.http.post("/api/login", json={"username": "eve@example.org", "password": NEW})).status_code == 200
    (listed,) = (await world["alpha-admin"].ok("GET", "/org/alpha/invite"))["items"]
    assert (listed["status"], "link" in listed) == ("accepted", False)


async def test_neither_the_database_nor_the_audit_log_holds_the_link(world: World, mailbox: Mailbox) -> None:
    await invite(world)
    _, token = mailbox.last("Eve@example.org")
    await accept(world, token, username="eve")
    rows = [*await world.rows("SELECT i::text FROM invites i"), *await world.rows("SELECT a::text FROM audit_log a")]
    assert not [row for row in rows if token in row[0] or NEW in row[0]]
    assert [(row.action_type, row.outcome, row.org_id) for row in await world.audit()] == [
        ("invite.create", "ok", world.orgs["alpha"]),
        ("invite.accept", "ok", world.orgs["alpha"]),
    ]
    assert (await world.audit())[1].user_id_performing_action is not None


async def test_a_host_header_does_not_steer_the_link(world: World, mailbox: Mailbox) -> None:
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example"}
    await world["alpha-admin"].call("POST", "/org/alpha/invite", {"email": "eve@example.org"}, headers=headers)
    assert "evil.example" not in mailbox.last("eve@example.org")[0]


async def test_a_link_works_once_even_for_two_at_once(world: World, mailbox: Mailbox) -> None:
    await invite(world)
    _, token = mailbox.last("Eve@example.org")
    answers = await asyncio.gather(*(accept(world, token, username=f"eve-{n}") for n in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    assert (await accept(world, token, username="again")).json()["code"] == "invite_not_valid"


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE invites SET expires_at = now() RETURNING id",
        "UPDATE orgs SET status = 'suspended' WHERE slug = 'alpha' RETURNING id",
        "UPDATE invites SET revoked_at = now() RETURNING id",
    ],
    ids=["expired", "org suspended", "revoked"],
)
async def test_a_link_that_is_worthless_says_nothing_else(world: World, mailbox: Mailbox, spoil: str) -> None:
    await invite(world)
    _, token = mailbox.last("Eve@example.org")
    await world.rows(spoil)
    refused, unknown = await accept(world, token), await accept(world, "x" * 43)
    assert refused.status_code == 404
    assert refused.json() == unknown.json()


async def test_resending_gives_another_link_and_the_one_before_is_dead(world: World, mailbox: Mailbox) -> None:
    sent = await invite(world)
    path = f"/org/alpha/invite/{sent['id']}/resend"
    assert (await world["alpha-admin"].call("POST", path)).json()["code"] == "sent_a_moment_ago"
    await world.rows("UPDATE invites SET sent_at = sent_at - interval '1 hour', expires_at = now() RETURNING id")
    _, old = mailbox.last("Eve@example.org")
    assert (await world["alpha-admin"].ok("POST", path))["status"] == "pending"
    _, new = mailbox.last("Eve@example.org")
    assert (await accept(world, old)).status_code == 404
    assert (await accept(world, new)).status_code == 200
    await world.rows("UPDATE invites SET sent_at = sent_at - interval '1 hour' RETURNING id")
    assert (await world["alpha-admin"].call("POST", path)).json()["code"] == "invite_is_over"


async def test_a_revoked_invite_is_worthless_and_its_address_may_be_invited_again(world: World, mailbox: Mailbox) -> None:
    sent = await invite(world)
    assert (await world["alpha-admin"].call("POST", "/org/alpha/invite", {"email": "eve@EXAMPLE.org"})).json()["code"] == "already_invited"
    await world["alpha-admin"].ok("DELETE", f"/org/alpha/invite/{sent['id']}")
    assert (await accept(world, mailbox.last("Eve@example.org")[1])).status_code == 404
    await invite(world)
    assert (await accept(world, mailbox.last("Eve@example.org")[1])).status_code == 200
    assert (await world["alpha-admin"].call("POST", "/org/alpha/invite", {"email": "eve@example.org"})).json()["code"] == "user_exists"


async def test_a_taken_name_leaves_the_invite_open(world: World, mailbox: Mailbox) -> None:
    await invite(world)
    _, token = mailbox.last("Eve@example.org")
    assert (await accept(world, token, username="beta-user")).json()["code"] == "username_taken"
    assert (await accept(world, token, username="eve")).status_code == 200


async def test_nobody_takes_the_address_of_somebody_else_as_name(world: World, mailbox: Mailbox) -> None:
    await world.rows("UPDATE users SET email = 'victim@example.org' WHERE username = 'beta-user' RETURNING id")
    refused = await world["alpha-admin"].call("POST", "/org/alpha/user", {"username": "Victim@example.org", "role": "org_user"})
    assert refused.json()["code"] == "username_taken"


async def test_an_invite_whose_mail_fails_stays_and_tells_why(world: World) -> None:
    sent = await invite(world)
    assert (sent["delivery"], sent["link"]) == ("failed", None)
    assert "IAS_SMTP_HOST" in sent["deliveryProblem"]
    assert len(await world.rows("SELECT * FROM invites")) == 1


async def test_accepting_by_a_browser_begins_a_cookie_session(world: World, mailbox: Mailbox) -> None:
    await invite(world)
    response = await accept(world, mailbox.last("Eve@example.org")[1], session="cookie")
    assert response.json()["token"] is None
    assert "HttpOnly" in response.headers["set-cookie"]


async def reset_link(world: World, mailbox: Mailbox, name: str = "alpha-user", to: str = "user@example.org") -> str:
    await world.rows("UPDATE users SET email = :to WHERE username = 'alpha-user' RETURNING id", to=to)
    assert (await world.http.post("/api/password-reset", json={"username": name})).status_code == 204
    return mailbox.last(to)[1]


async def complete(world: World, token: str) -> Any:
    return await world.http.post("/api/password-reset/complete", json={"token": token, "newPassword": NEW})


async def test_a_forgotten_password_is_set_anew_by_mail_once(world: World, mailbox: Mailbox) -> None:
    token = await reset_link(world, mailbox, name="USER@example.org")
    session = await complete(world, token)
    assert session.json()["user"]["username"] == "alpha-user"
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 401, "other sessions have ended"
    assert (await world.http.post("/api/login", json={"username": "alpha-user", "password": NEW})).status_code == 200
    assert (await world.http.post("/api/login", json={"username": "alpha-user", "password": PASSWORD})).status_code == 401
    assert (await complete(world, token)).json()["code"] == "reset_not_valid"
    rows = [*await world.rows("SELECT r::text FROM password_resets r"), *await world.rows("SELECT a::text FROM audit_log a")]
    assert not [row for row in rows if token in row[0] or NEW in row[0]]


async def test_the_answer_does_not_tell_whether_there_is_such_an_account(world: World, mailbox: Mailbox) -> None:
    await reset_link(world, mailbox)

    async def ask(name: str) -> Any:
        return await world.http.post("/api/password-reset", json={"username": name})

    known, unknown = await ask("alpha-user"), await ask("nobody")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert len(mailbox.mails()) == 2
    statuses = {name: [(await ask(name)).status_code for _ in range(6)] for name in ("root", "none")}
    assert statuses["root"] == statuses["none"] == [204] * 5 + [429]


async def test_a_newer_link_an_end_of_time_and_a_change_of_the_password_make_a_link_worthless(world: World, mailbox: Mailbox) -> None:
    first, second = await reset_link(world, mailbox), await reset_link(world, mailbox)
    assert (await complete(world, first)).status_code == 404
    await world["alpha-user"].ok("POST", "/me/password", {"currentPassword": PASSWORD, "newPassword": "another battery"})
    assert (await complete(world, second)).status_code == 404
    third = await reset_link(world, mailbox)
    await world.rows("UPDATE password_resets SET expires_at = now() RETURNING id")
    assert (await complete(world, third)).status_code == 404


async def test_nobodys_mailbox_is_filled(world: World, mailbox: Mailbox) -> None:
    for _ in range(5):
        await reset_link(world, mailbox)
    await world.rows("DELETE FROM sign_in_attempts RETURNING subject")
    await world.http.post("/api/password-reset", json={"username": "alpha-user"})
    assert len(mailbox.mails()) == 5
