"""What happens when somebody forgot a password."""

from datetime import UTC, datetime, timedelta

from controlplane.accounts.repository import AccountRepository
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.mail.ports import MailFailed
from controlplane.mail.rules import address_of, reset_mail
from controlplane.repository import EVERYTHING
from controlplane.runtime import Runtime
from controlplane.sign_in import password_service
from controlplane.sign_in.repository import ResetRepository
from controlplane.sign_in.rules import Client, digest, new_secret
from controlplane.sign_in.schemas import ResetBody
from controlplane.sign_in.service import Began, Guesses
from controlplane.unit_of_work import UnitOfWork, unit_of_work
from ias import logs

log = logs.get(__name__)

_PER_HOUR = 5


async def admit(uow: UnitOfWork, name: str, address: str) -> None:
    """Slow down whoever asks too often; the same for names that nobody has."""
    await Guesses(uow, f"reset {name}", address).admit()


async def send_link(runtime: Runtime, name: str) -> None:
    """Mail a link to the address of an account, if there is one. Runs after the answer was sent, which so tells nothing."""
    now, secret = datetime.now(UTC), new_secret()
    async with unit_of_work(runtime.engine) as uow:
        user = await AccountRepository(uow, EVERYTHING).active_person_called(name)
        to = user and address_of(user.username, user.email)
        if user is None or to is None:
            log.info("no mail for a password reset: no such account, or one without an address")
            return
        repository = ResetRepository(uow, EVERYTHING)
        if await repository.count_since(user.id, now - timedelta(hours=1)) >= _PER_HOUR:
            log.warning("no mail for a password reset: too many in an hour", user_id=str(user.id))
            return
        await repository.void_all_of(user.id, now)
        await repository.add(new_id(), user.id, digest(secret), now + runtime.links.reset_lifetime)
    try:
        await runtime.mailer.send(reset_mail(to, user.username, runtime.links.reset(secret), runtime.links.reset_lifetime))
    except MailFailed as error:
        log.warning("password reset was not sent", user_id=str(user.id), reason=str(error))


async def reset(uow: UnitOfWork, body: ResetBody, client: Client, runtime: Runtime) -> Began:
    """Set the password that a link allows to set, once; all sessions end, and one begins."""
    repository, token_hash = ResetRepository(uow, EVERYTHING), digest(body.token.get_secret_value())
    found = await repository.open_with(token_hash, datetime.now(UTC))
    if found is None:
        raise _worthless()
    await uow.checkpoint()
    password_hash = await runtime.passwords.hash(body.new_password.get_secret_value())
    if not await repository.use(token_hash, datetime.now(UTC)):
        raise _worthless()
    await password_service.store(uow, found.id, password_hash)
    user = await AccountRepository(uow, EVERYTHING).get(found.id)
    began = await runtime.sessions.begin(uow, user, body.session, client)
    await Guesses(uow, user.username, client.address).succeeded()
    return began


def _worthless() -> Problem:
    return Problem(404, "reset_not_valid", "The link is used, replaced or expired: ask for another one.")
