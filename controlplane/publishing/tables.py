"""The table of a publication's targets; as in `controlplane.schema`, its constraints live in the migrations."""

from sqlalchemy import Column, Integer, Table, Uuid

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
