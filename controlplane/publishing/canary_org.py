"""The tenant of the canary: an org of the service's own, so that trying a model is on nobody's bill.

Its requests are ordinary ones, with events and rows in the ledger under this org and the tag `canary=publish`. It is made
at the first flight, and is among the tenants of a publication only while the canary flies.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from controlplane.accounts.service import service_identity
from controlplane.keys.rules import KeyRules
from controlplane.keys.service import NewKey, create_key
from controlplane.publishing.repository import PublicationRepository
from controlplane.publishing.saga import CANARY_ORG_ID

ORG_ID = CANARY_ORG_ID
SLUG = "ias-canary"
NAME = "Canary: the service tries what it publishes"
_KEY_LIVES = timedelta(minutes=5)


async def board(repository: PublicationRepository, publication_id: UUID, model: str, key_rules: KeyRules) -> str:
    """Let the canary use a publication for a while; return its key."""
    await repository.keep_org(ORG_ID, SLUG, NAME)
    await repository.add_tenant(publication_id, ORG_ID)
    wish = NewKey(
        f"canary {model}"[:100],
        expires_at=datetime.now(UTC) + _KEY_LIVES,
        allowed_models=[model],
        labels={"canary": "publish"},
        publication_id=publication_id,
    )
    _, api_key = await create_key(repository.uow, ORG_ID, await service_identity(repository.uow, ORG_ID), wish, key_rules)
    return api_key.text
