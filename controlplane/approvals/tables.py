"""Tables and a view of approvals; as in `controlplane.schema`, constraints live in the migrations."""

from sqlalchemy import Column, Computed, DateTime, Table, Text, Uuid, func

from controlplane.catalog.tables import views
from controlplane.schema import metadata

model_approvals = Table(
    "model_approvals",
    metadata,
    Column("org_id", Uuid, primary_key=True),
    Column("catalog_model_id", Uuid, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("decided_by", Uuid, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
)

approval_rules = Table(
    "approval_rules",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("org_id", Uuid, nullable=False),
    Column("backend_id", Uuid),
    Column("pattern", Text, nullable=False),
    Column(
        "like_pattern",
        Text,
        Computed(r"replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')"),
        nullable=False,
    ),
    Column("created_by", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_by", Uuid),
    Column("ended_at", DateTime(timezone=True)),
)
"""`like_pattern` is made by the database."""

model_approval_states = Table(
    "model_approval_states",
    views,
    Column("org_id", Uuid),
    Column("catalog_model_id", Uuid),
    Column("state", Text),
    Column("reason", Text),
    Column("decided_by", Uuid),
    Column("decided_at", DateTime(timezone=True)),
)
"""The state of every model for every org, by decision or by rule."""
