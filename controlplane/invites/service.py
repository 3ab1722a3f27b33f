"""What happens to invites."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from controlplane import errors
from controlplane.accounts.repository import AccountRepository
from controlplane.accounts.service import refuse_name_of_another
from controlplane.authorization import Access
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.invites.repository import InviteRepository
from controlplane.invites.rules import PENDING_AT_MOST, SENT_AT_MOST_EVERY, status_of
from controlplane.invites.schemas import AcceptBody, InviteView, NewInviteBody, SentInviteView
from controlplane.mail.ports import MailFailed
from controlplane.mail.rules import invite_mail
from controlplane.repository import EVERYTHING
from controlplane.runtime import Runtime
from controlplane.sign_in.rules import Client, digest, new_secret
from controlplane.sign_in.service import Began, Guesses
from controlplane.unit_of_work import UnitOfWork
from ias import logs
from ias.roles import Role

log = logs.get(__name__)


async def invite(access: Access, org: Row[Any], body: NewInviteBody, runtime: Runtime) -> SentInviteView:
    """Invite somebody to an org by mail. An invite whose mail fails stays: it can be sent again."""
    reach = access.reach.within(org.id)
    repository, now, secret = InviteRepository(access.uow, reach), datetime.now(UTC), new_secret()
    if await AccountRepository(access.uow, reach).has_address(body.email):
        raise Problem(409, "user_exists", "The org has a user with that address already.")
    if await repository.count_open() >= PENDING_AT_MOST:
        raise Problem(409, "too_many_invites", f"{PENDING_AT_MOST} invites wait for an answer, which is the limit: revoke some first.")
    row = await repository.add(
        {
            "id": new_id(),
            "org_id": org.id,
            "email": body.email,
            "role": body.role,
            "token_hash": digest(secret),
            "sent_at": now,
            "expires_at": now + runtime.links.invite_lifetime,
            "created_by": access.user_id,
        }
    )
    return await _sent(access, org, row, secret, runtime)


async def resend(access: Access, org: Row[Any], invite_id: UUID, runtime: Runtime) -> SentInviteView:
    """Send an invite again with another link; the one before is dead. An expired invite begins anew."""
    repository, now, secret = InviteRepository(access.uow, access.reach.within(org.id)), datetime.now(UTC), new_secret()
    found = await _find(repository, invite_id)
    if (status := status_of(found, now)) not in {"pending", "expired"}:
        raise Problem(409, "invite_is_over", f"The invite is {status}: make another one.")
    if (wait := found.sent_at + SENT_AT_MOST_EVERY - now).total_seconds() > 0:
        seconds = str(wait.seconds + 1)
        raise Problem(429, "sent_a_moment_ago", f"The invite was sent a moment ago. Try again in {seconds} s.", headers={"retry-after": seconds})
    row = await repository.renew(invite_id, digest(secret), now, now + runtime.links.invite_lifetime)
    return await _sent(access, org, row, secret, runtime)


async def revoke(access: Access, org: Row[Any], invite_id: UUID) -> None:
    """Make the link of an invite worthless."""
    repository, now = InviteRepository(access.uow, access.reach.within(org.id)), datetime.now(UTC)
    if status_of(await _find(repository, invite_id), now) == "accepted":
        raise Problem(409, "invite_is_over", "The invite is accepted: remove the user instead.")
    await repository.revoke(invite_id)
    access.uow.audit(org_id=org.id, target_invite_id=str(invite_id))


async def accept(uow: UnitOfWork, body: AcceptBody, client: Client, runtime: Runtime) -> Began:
    """Make the user of an invite, once, with the password given, and sign them in."""
    repository, accounts, token_hash = InviteRepository(uow, EVERYTHING), AccountRepository(uow, EVERYTHING), digest(body.secret())
    found = await repository.open_with(token_hash, datetime.now(UTC))
    if found is None:
        raise _worthless()
    await uow.checkpoint()
    password_hash = await runtime.passwords.hash(body.password.get_secret_value())
    if not await repository.accept(token_hash, datetime.now(UTC)):
        raise _worthless()
    username = body.username or found.email
    await refuse_name_of_another(accounts, username)
    user = await accounts.add(new_id(), found.org_id, username, Role(found.role), password_hash, found.email)
    await repository.accepted_by(found.id, user.id)
    began = await runtime.sessions.begin(uow, user, body.session, client)
    uow.audit(org_id=found.org_id, target_invite_id=str(found.id), target_user_id=str(user.id))
    await Guesses(uow, username, client.address).succeeded()
    return began


async def _sent(access: Access, org: Row[Any], row: Row[Any], secret: str, runtime: Runtime) -> SentInviteView:
    """Commit, then send: a mail must not tell of an invite that is not there, and a slow server must not hold the database."""
    access.uow.audit(org_id=org.id, target_invite_id=str(row.id))
    await access.uow.checkpoint()
    link, problem = runtime.links.invite(secret), None
    try:
        await runtime.mailer.send(invite_mail(row.email, org.name, row.role, link, runtime.links.invite_lifetime))
    except MailFailed as error:
        problem = str(error)
        log.warning("invite was not sent", invite_id=str(row.id), reason=problem)
    return SentInviteView(
        **InviteView.of(row, datetime.now(UTC)).model_dump(),
        delivery="failed" if problem else "sent",
        delivery_problem=problem,
        link=link if runtime.mailer.shows_links else None,
    )


async def _find(repository: InviteRepository, invite_id: UUID) -> Row[Any]:
    if (found := await repository.by_id(invite_id)) is None:
        raise errors.not_found("invite")
    return found


def _worthless() -> Problem:
    return Problem(404, "invite_not_valid", "The invite is used, revoked or expired: ask for another one.")
