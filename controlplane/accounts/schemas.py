"""JSON of accounts."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator
from sqlalchemy import Row

from controlplane.accounts.rules import MAX_PASSWORD, MIN_PASSWORD, USERNAME, service_name
from controlplane.api_model import BLANK, ApiModel
from ias.roles import Role

Username = Annotated[str, StringConstraints(strip_whitespace=True, pattern=USERNAME)]
Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254, pattern=rf"^[^@{BLANK}]+@[^@{BLANK}]+$")]


def _hashable(password: SecretStr) -> SecretStr:
    r"""Refuse half of a surrogate pair: JSON can write one (`"\\ud800"`), UTF-8 and so the hash cannot."""
    if any("\ud800" <= character <= "\udfff" for character in password.get_secret_value()):
        raise ValueError("must be text that UTF-8 can hold")
    return password


Password = Annotated[SecretStr, Field(max_length=MAX_PASSWORD), AfterValidator(_hashable)]


class NewUserBody(ApiModel):
    """A user to make; without a password one is generated and shown once."""

    username: Username
    role: Literal["org_admin", "org_user"]
    password: Annotated[Password, Field(min_length=MIN_PASSWORD)] | None = None
    email: Email | None = None


class NewSystemAdminBody(ApiModel):
    """A System Admin to make; the password is generated and shown once."""

    username: Username
    email: Email | None = None


class UserView(ApiModel):
    """A user."""

    id: UUID
    org_id: UUID | None
    username: str
    email: str | None
    role: Role
    status: str
    created_at: datetime


class NewUserView(UserView):
    """A user that was made."""

    initial_password: str | None = Field(default=None, description="Only when it was generated, and only here.")


class RoleBody(ApiModel):
    """What a user may do."""

    role: Literal["org_admin", "org_user"]


class NewServiceBody(ApiModel):
    """A service account to make."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] = Field(examples=["ci-pipeline"])


class ServiceView(ApiModel):
    """A service account; its keys are made with `POST /api/key`, `userId` being its id."""

    id: UUID
    org_id: UUID
    name: str
    status: str
    created_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _of_row(cls, row: Any) -> Any:
        if not isinstance(row, Row):
            return row
        return {"id": row.id, "org_id": row.org_id, "name": service_name(row.username), "status": row.status, "created_at": row.created_at}
