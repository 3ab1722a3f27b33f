"""What the data plane may read from PostgreSQL: four relations and a function, created by the control plane's migrations. Version 1.

The control plane's tables may change shape; these views keep theirs. A new version gets new names and lives beside the
old one until no reader is left (rolling upgrades). extauth's database role can read these and nothing else.

The change log: the writer of a change takes `pg_advisory_xact_lock(CHANGE_LOCK)` before it inserts, so that sequence
order is commit order and a reader that has seen `seq` has seen everything before it. A row names what changed, never
how: the reader reads the row again. The epoch changes when the database was restored: then a reader loads all anew.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from ias.context import AdmissionMode

CHANGE_LOCK = 0x1A5C4A46
"""Advisory lock that serializes writers of the change log."""

EPOCH = "gateway_epoch_v1"
"""One row: `epoch` (uuid)."""

CHANGES = "gateway_changes_v1"
"""`seq` (bigint, ascending), `kind` (ChangeKind), `id` (text: id of what changed)."""

CREDENTIALS = "gateway_credentials_v3"
"""One row for each credential that is not revoked and not past its validity; columns as in `Credential`, limits and labels as jsonb."""

PUBLICATIONS = "gateway_publications_v3"
"""One row for each published publication; columns as in `Publication`."""

SPENT = "gateway_spent_v1"
"""Function (org uuid, scope text, from timestamptz, until timestamptz) → bigint: the ledger's tokens (input + output) of the scope,
`org`, `user:<id>` or `key:<id>`, admitted at or after `from` and before `until`: the base of a budget counter."""


class ChangeKind(StrEnum):
    """Kind of the thing that changed. Readers ignore kinds that they do not know."""

    CREDENTIAL = "credential"
    """id: the credential id inside the key's text."""
    KEY = "key"
    USER = "user"
    ORG = "org"
    PUBLICATION = "publication"
    CATALOG = "catalog"
    """id: the backend whose models came, went or changed; for the model registry alone, as all that follow."""
    CATALOG_MODEL = "catalog_model"
    """One model was edited, or has another price."""
    APPROVALS = "approvals"
    """id: the org whose approvals or rules changed."""


class Budget(msgspec.Struct, frozen=True, rename="camel"):
    """Tokens of a calendar period (UTC)."""

    period: Literal["day", "week", "month"]
    tokens: int
    extra_tokens: int = 0
    """A temporary increase, on top until `extra_until_ms` (wall clock)."""
    extra_until_ms: int = 0


class ScopeLimits(msgspec.Struct, frozen=True, rename="camel"):
    """The limits of one org, user or key. None: no such limit; 0 requests or tokens: nothing passes."""

    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_hour: int | None = None
    burst_limit: int | None = None
    """Capacity of the requests-per-minute bucket; None or 0: its rate."""
    concurrent_requests: int | None = None
    budgets: tuple[Budget, ...] = ()
    dry_run: frozenset[str] = frozenset()
    """Names of limits above (`tokensPerMinute`, `budget:month`) that never refuse and only count what they would have refused."""


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
    key_limits: ScopeLimits = ScopeLimits()
    user_limits: ScopeLimits = ScopeLimits()
    org_limits: ScopeLimits = ScopeLimits()
    admission_mode: AdmissionMode | None = None
    """The org's own; None: the publication's."""
    outage_tokens: int = 0
    """Tokens that the org may spend in each process while budgets cannot be checked; 0: deny."""
    labels: dict[str, str] = {}
    """Of the key; they become tags of its requests (`ias.tags`)."""


class ModelType(StrEnum):
    """Which protocol the engine of a model speaks."""

    OPENAI = "openai"
    TRADITIONAL = "traditional"
    """KServe v1 and v2 (Open Inference Protocol): no tokens, the model is named by the path."""


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A published model. Column names = field names. Its limits hold for each org that uses it, not for all together."""

    publication_id: str
    model: str
    upstream_model: str
    allowed_org_ids: tuple[str, ...]
    created_at: datetime
    limits: ScopeLimits = ScopeLimits()
    admission_mode: AdmissionMode = AdmissionMode.BALANCED
    context_tokens: int | None = None
    """The engine's context limit, prompt and output together; None: unknown."""
    output_cap: int | None = None
    """Output tokens to hold for, and to write as a cap where the mode needs one, when the request has none; None: the service's default."""
    continuous_usage: bool = False
    """The engine understands `stream_options.continuous_usage_stats` (vLLM)."""
    model_type: ModelType = ModelType.OPENAI
    require_api_key: bool = True
    """False: open to requests without a credential, which are the owner's; only a traditional model's may be."""
    public_hostname: str | None = None
    """In lower case, without a port. It is a virtual host: at another one's name the model is not there."""
    external_path: str | None = None
    """A second place for the model, without a slash at its end."""
    owner_org_id: str = ""
    owner_active: bool = True
    owner_limits: ScopeLimits = ScopeLimits()
    """Of the owner, for requests without a key; they have no tokens, and so no budgets."""
