"""JSON of sign-in."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, SecretStr

from controlplane.accounts.rules import MIN_PASSWORD
from controlplane.accounts.schemas import Password
from controlplane.api_model import ApiModel, ShortText
from ias.roles import Role

LinkToken = Annotated[SecretStr, Field(min_length=1, max_length=200, description="What stands behind `#token=` in the link.", examples=["0a1B2c3D"])]
NewPassword = Annotated[Password, Field(min_length=MIN_PASSWORD)]


class WantedSession(ApiModel):
    """Which kind of session is to begin."""

    session: Literal["token", "cookie"] = Field(
        default="token", description="'token': an access token in the answer; 'cookie': an HttpOnly cookie, for browsers."
    )


class LoginBody(WantedSession):
    """Who signs in."""

    username: Annotated[ShortText, Field(description="User name or e-mail address.")]
    password: Password


class SessionUser(ApiModel):
    """The person behind a session."""

    id: UUID
    username: str
    role: Role
    org_id: UUID | None


class SessionView(ApiModel):
    """A session that began, or goes on."""

    token: str | None = Field(description="Send it as 'Authorization: Bearer <token>'; null when the session is a cookie.")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    csrf_token: str | None = Field(description="Send it as 'X-CSRF-Token' with every POST, PUT, PATCH and DELETE when the session is a cookie.")
    expires_at: datetime = Field(description="End of the token, or of the cookie.")
    user: SessionUser


class SessionStatus(ApiModel):
    """The session of this request."""

    csrf_token: str | None
    user: SessionUser


class OwnSessionView(ApiModel):
    """One of your sessions."""

    id: UUID
    kind: Literal["token", "cookie"] = Field(description="'token': ias-admin or a program; 'cookie': a browser.")
    current: bool = Field(description="Whether it is the one of this request.")
    client_address: str | None = Field(description="Where it began.")
    user_agent: str | None = Field(examples=["ias-admin"], description="What the client said that it is.")
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute.")
    expires_at: datetime = Field(description="Its end at the latest; a browser's ends earlier when it is idle.")


class PasswordChangeBody(ApiModel):
    """A new password of one's own."""

    current_password: Password
    new_password: Annotated[NewPassword, Field(examples=["a horse that is better still"])]


class ResetRequestBody(ApiModel):
    """Who forgot a password."""

    username: Annotated[ShortText, Field(description="User name or e-mail address.", examples=["ada"])]


class ResetBody(WantedSession):
    """A new password for who has the link of a mail."""

    token: LinkToken
    new_password: NewPassword
