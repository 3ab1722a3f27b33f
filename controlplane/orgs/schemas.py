"""JSON of orgs."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from controlplane.api_model import ApiModel, ShortText
from controlplane.orgs.rules import SLUG


class NewOrgBody(ApiModel):
    """An org to make."""

    name: ShortText
    slug: Annotated[str, StringConstraints(pattern=SLUG)] | None = Field(
        None, description="Lower-case letters, digits and '-'; derived from the name."
    )


class OrgView(ApiModel):
    """An org."""

    id: UUID
    slug: str
    name: str
    status: str = Field(description="'active', 'suspended', or 'deleting' until `purgeAt`, when it is gone for good.")
    purge_at: datetime | None
    created_at: datetime


class OrgBody(ApiModel):
    """What can be changed of an org."""

    name: ShortText
