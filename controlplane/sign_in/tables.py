"""The tables of sign-in; as in `controlplane.schema`, their constraints live in the migrations."""

from sqlalchemy import Column, DateTime, Integer, LargeBinary, Table, Text, Uuid, func

from controlplane.schema import metadata

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("secret_hash", LargeBinary),
    Column("generation", Integer, nullable=False),
    Column("client_address", Text),
    Column("user_agent", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("idle_until", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("subject", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("not_before", DateTime(timezone=True), nullable=False),
    Column("known_until", DateTime(timezone=True)),
    Column("keep_until", DateTime(timezone=True), nullable=False),
)

password_resets = Table(
    "password_resets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
