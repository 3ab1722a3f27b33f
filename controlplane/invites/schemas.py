"""JSON of invites."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, SecretStr

from controlplane.accounts.schemas import Email, Username
from controlplane.api_model import ApiModel
from controlplane.invites.rules import Invite, Status, status_of
from controlplane.sign_in.schemas import LinkToken, NewPassword, WantedSession


class NewInviteBody(ApiModel):
    """Whom to invite."""

    email: Email = Field(examples=["ada@example.com"])
    role: Literal["org_admin", "org_user"] = "org_user"


class InviteView(ApiModel):
    """An invite."""

    id: UUID
    org_id: UUID | None
    email: str
    role: str
    status: Status
    sent_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, row: Invite, now: datetime) -> Self:
        """Make it of a row."""
        known = {name: getattr(row, name) for name in cls.model_fields if name != "status"}
        return cls(**known, status=status_of(row, now))


class SentInviteView(InviteView):
    """An invite whose mail has just been tried."""

    delivery: Literal["sent", "failed"] = Field(description="'failed': the invite is there, its mail is not; mend the cause, then resend.")
    delivery_problem: str | None = None
    link: str | None = Field(None, description="Only where mails stay in a folder of this machine, and only here.")


class AcceptBody(WantedSession):
    """An answer to an invite."""

    token: LinkToken
    password: NewPassword
    username: Username | None = Field(None, description="What to sign in with; the e-mail address if not given.")

    def secret(self) -> str:
        """The token as it is."""
        token: SecretStr = self.token
        return token.get_secret_value()
