"""The tables of a publication's targets and of its standing in a cluster; as in `controlplane.schema`, their constraints live in the migrations."""

from sqlalchemy import Column, Integer, Table, Text, Uuid

from controlplane.schema import metadata

publication_targets = Table(
    "publication_targets",
    metadata,
    Column("publication_id", Uuid, primary_key=True),
    Column("backend_id", Uuid, primary_key=True),
    Column("weight", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
)
"""A publication without rows, or whose `backend_id` is in none of them, goes to that backend alone: the version before wrote it so."""

publication_standings = Table(
    "publication_standings",
    metadata,
    Column("publication_id", Uuid, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""What Kubernetes says of a publication (`controlplane/kubernetes/conditions.py`); without a row nothing is known, or there is no cluster."""
