"""The tables of the catalog; as in `controlplane.schema`, their constraints live in the migrations."""

from sqlalchemy import BigInteger, Column, Computed, DateTime, Integer, MetaData, Numeric, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from controlplane.schema import metadata

catalog_models = Table(
    "catalog_models",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("backend_id", Uuid, nullable=False),
    Column("upstream_model", Text, nullable=False),
    Column("told_capabilities", ARRAY(Text), nullable=False, server_default="{}"),
    Column("told_modalities", ARRAY(Text), nullable=False, server_default="{}"),
    Column("told_context_tokens", BigInteger),
    Column("told_output_tokens", BigInteger),
    Column("set_capabilities", ARRAY(Text)),
    Column("set_modalities", ARRAY(Text)),
    Column("set_context_tokens", BigInteger),
    Column("set_output_tokens", BigInteger),
    Column("capabilities", ARRAY(Text), Computed("COALESCE(set_capabilities, told_capabilities)"), nullable=False),
    Column("modalities", ARRAY(Text), Computed("COALESCE(set_modalities, told_modalities)"), nullable=False),
    Column("context_tokens", BigInteger, Computed("COALESCE(set_context_tokens, told_context_tokens)")),
    Column("output_tokens", BigInteger, Computed("COALESCE(set_output_tokens, told_output_tokens)")),
    Column("metadata", JSONB, nullable=False, server_default="{}", key="facts"),  # every Table has another `metadata`
    Column("status", Text, nullable=False, server_default="active"),
    Column("missed", Integer, nullable=False, server_default="0"),
    Column("first_seen_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
    Column("version", BigInteger, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now(), onupdate=func.now()),
)
"""`told_*` is what the backend said, `set_*` what a person says instead; the columns without either are what holds."""

catalog_aliases = Table("catalog_aliases", metadata, Column("alias", Text, primary_key=True), Column("catalog_model_id", Uuid, nullable=False))

catalog_changes = Table(
    "catalog_changes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("catalog_model_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("changes", JSONB, nullable=False, server_default="{}"),
    Column("user_id", Uuid),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

catalog_prices = Table(
    "catalog_prices",
    metadata,
    Column("catalog_model_id", Uuid, primary_key=True),
    Column("valid_from", DateTime(timezone=True), primary_key=True),
    Column("currency", Text, nullable=False),
    Column("input", Numeric(18, 6), nullable=False),
    Column("cached_input", Numeric(18, 6)),
    Column("output", Numeric(18, 6), nullable=False),
    Column("set_by", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

views = MetaData()

publication_models = Table(
    "publication_models",
    views,
    Column("publication_id", Uuid),
    Column("backend_id", Uuid),
    Column("catalog_model_id", Uuid),
    Column("status", Text),
    Column("context_tokens", BigInteger),
)
"""One row for each backend that a publication goes to."""
