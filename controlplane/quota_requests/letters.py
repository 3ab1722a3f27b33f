"""Mail to who has asked for more, once it is decided."""

from typing import Any

from sqlalchemy import Row

from controlplane.accounts.repository import AccountRepository
from controlplane.mail.ports import MailFailed
from controlplane.mail.rules import address_of, decision_mail
from controlplane.quota_requests import rules
from controlplane.quota_requests.rules import Kind, State
from controlplane.repository import Reach
from controlplane.runtime import Runtime
from controlplane.unit_of_work import unit_of_work
from ias import logs

log = logs.get(__name__)


async def tell(runtime: Runtime, reach: Reach, decided: Row[Any]) -> None:
    """Mail the decision to the one who asked, within the reach of who decided.

    Runs after the answer was sent: who decides does not wait for a mail server, and a mail that fails undoes nothing.
    """
    async with unit_of_work(runtime.engine) as uow:
        asker = await AccountRepository(uow, reach).get(decided.user_id)
    to = address_of(asker.username, asker.email)
    if to is None:
        return
    kind, wish = Kind(decided.kind), rules.wish(Kind(decided.kind), decided.name, decided.amount, decided.until)
    granted = rules.wish(kind, decided.name, decided.granted_amount, decided.granted_until) if decided.state == State.APPROVED else wish
    mail = decision_mail(to, wish, decided.state, None if granted == wish else granted, decided.answer)
    try:
        await runtime.mailer.send(mail)
    except MailFailed as error:
        log.warning("a decision was not mailed", quota_request_id=str(decided.id), reason=str(error))
