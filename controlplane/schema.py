"""The tables of the control plane, for building queries. Constraints, indexes and views live in the migrations.

`tests/component/controlplane/test_migrations.py` proves that these columns are those of a migrated database.
"""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Double, Identity, Integer, LargeBinary, MetaData, Sequence, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()
BUDGET_VERSIONS = Sequence("budget_versions")


def _id(name: str = "id") -> Column[object]:
    return Column(name, Uuid, primary_key=True)


def _reference(name: str, nullable: bool = False) -> Column[object]:
    return Column(name, Uuid, nullable=nullable)


def _text(name: str, nullable: bool = False) -> Column[object]:
    return Column(name, Text, nullable=nullable)


def _integer(name: str, nullable: bool = False) -> Column[object]:
    return Column(name, Integer, nullable=nullable)


def _bigint(name: str, nullable: bool = False) -> Column[object]:
    return Column(name, BigInteger, nullable=nullable)


def _float(name: str) -> Column[object]:
    return Column(name, Double, nullable=True)


def _time(name: str, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _created_at() -> Column[object]:
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def _updated_at() -> Column[object]:
    return Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now(), onupdate=func.now())


def _limits() -> list[Column[object]]:
    return [
        _integer("requests_per_minute", nullable=True),
        _integer("requests_per_hour", nullable=True),
        _bigint("tokens_per_minute", nullable=True),
        _bigint("tokens_per_hour", nullable=True),
        _integer("burst_limit", nullable=True),
        _integer("concurrent_requests", nullable=True),
        Column("dry_run", ARRAY(Text), nullable=False, server_default="{}"),
    ]


def _limits_version() -> Column[object]:
    return Column("limits_version", BigInteger, nullable=False, server_default="0")


orgs = Table(
    "orgs",
    metadata,
    _id(),
    _text("slug"),
    _text("name"),
    Column("status", Text, nullable=False, server_default="active"),
    *_limits(),
    _limits_version(),
    _text("admission_mode", nullable=True),
    Column("outage_tokens", BigInteger, nullable=False, server_default="0"),
    Column("version", BigInteger, nullable=False, server_default="1"),
    _time("purge_at"),
    Column("hostnames", ARRAY(Text)),
    _integer("max_publications", nullable=True),
    _created_at(),
    _updated_at(),
)

users = Table(
    "users",
    metadata,
    _id(),
    _reference("org_id", nullable=True),
    _text("username"),
    _text("email", nullable=True),
    _text("role"),
    Column("status", Text, nullable=False, server_default="active"),
    _text("password_hash", nullable=True),
    Column("token_generation", Integer, nullable=False, server_default="0"),
    *_limits(),
    _limits_version(),
    _created_at(),
    _updated_at(),
)

backends = Table(
    "backends",
    metadata,
    _id(),
    _text("name"),
    _text("base_url"),
    _text("kind"),
    Column("health", Text, nullable=False, server_default="unknown"),
    _text("health_reason", nullable=True),
    Column("models", ARRAY(Text), nullable=False, server_default="{}"),
    _time("checked_at"),
    _text("credential", nullable=True),
    _float("probe_interval_s"),
    _float("discovery_interval_s"),
    Column("traffic", JSONB, nullable=False, server_default="{}"),
    Column("kubernetes", JSONB(none_as_null=True)),
    _text("kind_reason", nullable=True),
    Column("next_probe_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("next_discovery_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("is_denied", Boolean, nullable=False, server_default="false"),
    Column("probes_against", Integer, nullable=False, server_default="0"),
    Column("probe_history", BigInteger, nullable=False, server_default="0"),
    Column("probes", Integer, nullable=False, server_default="0"),
    _float("latency_ms"),
    _time("health_changed_at"),
    Column("status", Text, nullable=False, server_default="active"),
    _created_at(),
    _updated_at(),
)

publications = Table(
    "publications",
    metadata,
    _id(),
    _text("model"),
    _reference("org_id"),
    _text("model_type"),
    _text("model_type_reason", nullable=True),
    _text("public_hostname", nullable=True),
    _text("external_path", nullable=True),
    _text("upstream_model"),
    _reference("backend_id"),
    *_limits(),
    Column("admission_mode", Text, nullable=False, server_default="balanced"),
    _bigint("context_tokens", nullable=True),
    _bigint("output_cap", nullable=True),
    Column("continuous_usage", Boolean, nullable=False, server_default="false"),
    Column("require_api_key", Boolean, nullable=False, server_default="true"),
    Column("status", Text, nullable=False, server_default="pending"),
    _text("status_reason", nullable=True),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("traffic", JSONB, nullable=False, server_default="{}"),
    _text("status_step", nullable=True),
    _text("status_advice", nullable=True),
    _created_at(),
    _updated_at(),
)

publication_tenants = Table("publication_tenants", metadata, _id("publication_id"), _id("org_id"))

keys = Table(
    "keys",
    metadata,
    _id(),
    _reference("org_id"),
    _reference("user_id"),
    _text("name"),
    Column("status", Text, nullable=False, server_default="active"),
    _time("expires_at"),
    Column("allowed_models", ARRAY(Text), nullable=False, server_default="{}"),
    *_limits(),
    _limits_version(),
    _reference("publication_id", nullable=True),
    _time("last_used_at"),
    _reference("created_by", nullable=True),
    Column("labels", JSONB, nullable=False, server_default="{}"),
    Column("version", BigInteger, nullable=False, server_default="1"),
    _reference("disabled_by", nullable=True),
    _created_at(),
    _updated_at(),
)

credentials = Table(
    "credentials",
    metadata,
    Column("credential_id", Text, primary_key=True),
    _reference("key_id"),
    Column("digest", LargeBinary, nullable=False),
    _integer("pepper_version"),
    _text("hint"),
    _time("valid_until"),
    _time("revoked_at"),
    _created_at(),
)

budgets = Table(
    "budgets",
    metadata,
    _id("subject_id"),
    Column("period", Text, primary_key=True),
    _text("scope"),
    _reference("org_id"),
    _reference("user_id", nullable=True),
    _bigint("tokens", nullable=True),
    _bigint("ceiling_tokens", nullable=True),
    Column("extra_tokens", BigInteger, nullable=False, server_default="0"),
    _time("extra_until"),
    Column("thresholds", ARRAY(Integer), nullable=False, server_default="{50,80,100}"),
    Column("dry_run", Boolean, nullable=False, server_default="false"),
    Column("version", BigInteger, nullable=False, server_default=BUDGET_VERSIONS.next_value()),
    _created_at(),
    _updated_at(),
)

budget_alerts = Table(
    "budget_alerts",
    metadata,
    _id(),
    _reference("subject_id"),
    _text("scope"),
    _reference("org_id"),
    _reference("user_id", nullable=True),
    _text("period"),
    _time("period_start", nullable=False),
    _integer("threshold"),
    _bigint("tokens"),
    _bigint("spent"),
    _created_at(),
)

quota_requests = Table(
    "quota_requests",
    metadata,
    _id(),
    _reference("org_id"),
    _reference("user_id"),
    _text("scope"),
    _reference("subject_id"),
    _text("kind"),
    _text("name"),
    _bigint("amount"),
    _time("until"),
    _text("reason"),
    Column("state", Text, nullable=False, server_default="open"),
    _time("expires_at", nullable=False),
    _reference("decided_by", nullable=True),
    _time("decided_at"),
    _bigint("granted_amount", nullable=True),
    _time("granted_until"),
    _text("answer", nullable=True),
    _created_at(),
    _updated_at(),
)

audit_log = Table(
    "audit_log",
    metadata,
    _id(),
    Column("timestamp", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _reference("org_id", nullable=True),
    _reference("user_id_performing_action", nullable=True),
    _text("action_type"),
    Column("payload", JSONB, nullable=False),
    _text("outcome"),
    _text("request_id", nullable=True),
    _text("client_address", nullable=True),
    _bigint("seq"),
    Column("targets", ARRAY(Text), nullable=False, server_default="{}"),
)
"""`seq` is given by the database, whatever a writer says."""

audit_seals = Table(
    "audit_seals",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    _bigint("first_seq"),
    _bigint("last_seq"),
    _reference("first_id"),
    _reference("last_id"),
    _integer("rows"),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("sealed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

ledger = Table(
    "ledger",
    metadata,
    Column("admitted_at", DateTime(timezone=True), primary_key=True),
    _id("event_id"),
    _reference("org_id"),
    _reference("user_id"),
    _reference("key_id"),
    _reference("publication_id"),
    _text("model"),
    _text("upstream_model"),
    _text("endpoint"),
    Column("stream", Boolean, nullable=False),
    _text("outcome"),
    _integer("http_status"),
    _bigint("input_tokens"),
    _bigint("cached_input_tokens"),
    _bigint("output_tokens"),
    _bigint("reasoning_tokens"),
    _text("usage_source"),
    _bigint("held_tokens"),
    _bigint("time_to_first_token_ms", nullable=True),
    _bigint("duration_ms"),
    _time("ended_at", nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _text("request_id"),
    Column("tags", JSONB, nullable=False),
)


consumer_positions = Table(
    "consumer_positions", metadata, Column("stream", Text, primary_key=True), _bigint("segment"), _bigint("byte_offset"), _updated_at()
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("segment", BigInteger, primary_key=True),
    Column("byte_offset", BigInteger, primary_key=True),
    _text("reason"),
    Column("content", LargeBinary, nullable=False),
    Column("buried_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

security_events = Table(
    "security_events",
    metadata,
    _id(),
    _time("minute", nullable=False),
    _integer("status"),
    _text("code"),
    _reference("org_id", nullable=True),
    _text("credential", nullable=True),
    _text("address", nullable=True),
    Column("overflow", Boolean, nullable=False),
    _bigint("requests"),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

refused_requests = Table(
    "refused_requests",
    metadata,
    _id("event_id"),
    Column("place", Integer, primary_key=True, autoincrement=False),
    _text("request_id"),
    _time("at", nullable=False),
    _reference("org_id"),
    _reference("user_id"),
    _reference("key_id"),
    _text("method"),
    _text("path"),
    _text("message"),
    _text("model", nullable=True),
    Column("limits", JSONB, nullable=False),
)

change_log = Table(
    "change_log",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    _text("kind"),
    _text("id"),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
