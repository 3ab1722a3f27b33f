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
    status: str
    created_at: datetime
