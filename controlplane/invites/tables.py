"""The table of invites; as in `controlplane.schema`, its constraints live in the migrations."""

from sqlalchemy import Column, DateTime, LargeBinary, Table, Text, Uuid, func

from controlplane.schema import metadata

invites = Table(
    "invites",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("org_id", Uuid),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("accepted_at", DateTime(timezone=True)),
    Column("accepted_by", Uuid),
    Column("revoked_at", DateTime(timezone=True)),
    Column("created_by", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now(), onupdate=func.now()),
)
