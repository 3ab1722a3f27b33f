"""What the data plane may read from PostgreSQL: four relations, created by the control plane's migrations. Version 1.

The control plane's tables may change shape; these views keep theirs. A new version gets new names and lives beside the
old one until no reader is left (rolling upgrades). extauth's database role can read these and nothing else.

The change log: the writer of a change takes `pg_advisory_xact_lock(CHANGE_LOCK)` before it inserts, so that sequence
order is commit order and a reader that has seen `seq` has seen everything before it. A row names what changed, never
how: the reader reads the row again. The epoch changes when the database was restored: then a reader loads all anew.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

CHANGE_LOCK = 0x1A5C4A46
"""Advisory lock that serializes writers of the change log."""

EPOCH = "gateway_epoch_v1"
"""One row: `epoch` (uuid)."""

CHANGES = "gateway_changes_v1"
"""`seq` (bigint, ascending), `kind` (ChangeKind), `id` (text: id of what changed)."""

CREDENTIALS = "gateway_credentials_v1"
"""One row for each credential that is not revoked and not past its validity; columns as in `Credential`."""

PUBLICATIONS = "gateway_publications_v1"
"""One row for each published publication; columns as in `Publication`."""


class ChangeKind(StrEnum):
    """Kind of the thing that changed. Readers ignore kinds that they do not know."""

    CREDENTIAL = "credential"
    """id: the credential id inside the key's text."""
    KEY = "key"
    USER = "user"
    ORG = "org"
    PUBLICATION = "publication"


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential with everything that a decision needs to know about its key, user and org. Column names = field names."""

    credential_id: str
    digest: bytes
    pepper_version: int
    valid_until: datetime | None
    key_id: str
    key_active: bool
    key_expires_at: datetime | None
    user_id: str
    user_active: bool
    org_id: str
    org_active: bool
    allowed_models: tuple[str, ...]
    """Names or patterns with `*`; empty: all that the org may use."""
    requests_per_minute: int | None
    burst_limit: int | None


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A published model. Column names = field names."""

    publication_id: str
    model: str
    upstream_model: str
    allowed_org_ids: tuple[str, ...]
    created_at: datetime
    requests_per_minute: int | None
    """Of each org that uses the publication, not of all together; so are the others."""
    requests_per_hour: int | None
    burst_limit: int | None
