"""What happens when somebody changes a password."""

from datetime import UTC, datetime
from uuid import UUID

from controlplane.accounts.passwords import Passwords
from controlplane.accounts.repository import AccountRepository
from controlplane.authentication import Principal
from controlplane.errors import FieldError, Problem
from controlplane.repository import EVERYTHING
from controlplane.sign_in.repository import ResetRepository, SessionRepository
from controlplane.sign_in.schemas import PasswordChangeBody
from controlplane.sign_in.service import Guesses
from controlplane.unit_of_work import UnitOfWork


async def change(uow: UnitOfWork, principal: Principal, body: PasswordChangeBody, address: str, passwords: Passwords) -> None:
    """Replace the own password; all other sessions end. Raises Problem 403 when the current one is wrong, 429 as at sign-in."""
    guesses = Guesses(uow, principal.username, address)
    await guesses.admit()
    stored = (await AccountRepository(uow, EVERYTHING).get(principal.user_id)).password_hash
    await uow.checkpoint()
    if not await passwords.verify(stored, body.current_password.get_secret_value()):
        raise Problem(403, "wrong_password", "The current password is wrong.")
    await guesses.succeeded()
    new = body.new_password.get_secret_value()
    if new == body.current_password.get_secret_value():
        raise unusable("must be another one than the current password")
    await store(uow, principal.user_id, await passwords.hash(new), keep=principal.session_id)


async def store(uow: UnitOfWork, user_id: UUID, password_hash: str, keep: UUID | None = None) -> None:
    """Replace a password: the user's sessions end, but for one, and links that could set another are worthless."""
    await AccountRepository(uow, EVERYTHING).store_hash(user_id, password_hash)
    await SessionRepository(uow, EVERYTHING).end_all_of(user_id, but=keep)
    await ResetRepository(uow, EVERYTHING).void_all_of(user_id, datetime.now(UTC))


def unusable(why: str) -> Problem:
    """A new password that cannot be taken."""
    return Problem(422, "invalid_request", f"newPassword: {why}", errors=[FieldError(field="newPassword", message=why)])
