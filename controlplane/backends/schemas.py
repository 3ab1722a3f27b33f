"""JSON of the backends."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from controlplane.api_model import ApiModel
from controlplane.backends.rules import Health, as_id, canonical_base_url


def _not_an_id(name: str) -> str:
    if as_id(name) is not None:
        raise ValueError("a name must not look like an id")
    return name


BackendName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"), AfterValidator(_not_an_id)]
"""1 to 63 letters, digits, `.`, `_` and `-`, the first a letter or digit."""


class RegisterBackend(ApiModel):
    """An engine to register. It may be down: then it is registered as unhealthy."""

    name: BackendName
    base_url: Annotated[str, StringConstraints(max_length=300), AfterValidator(canonical_base_url)] = Field(
        description="`http(s)://host:port` of an engine that speaks OpenAI's API or KServe's, without a path"
    )


class BackendView(ApiModel):
    """A registered engine and what its last probe said."""

    id: UUID
    name: str
    base_url: str
    kind: str = Field(description="'openai' or 'traditional': the protocol that answered its last good probe")
    health: Health
    health_reason: str | None
    models: list[str]
    checked_at: datetime | None
    created_at: datetime


class BackendList(ApiModel):
    """All registered engines."""

    items: list[BackendView]
