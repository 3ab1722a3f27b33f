"""The table of what engines have counted; as in `controlplane.schema`, its constraints live in the migrations."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, Table, Text, Uuid

from controlplane.schema import metadata

engine_counters = Table(
    "engine_counters",
    metadata,
    Column("backend_id", Uuid, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("last_input", BigInteger, nullable=False),
    Column("last_output", BigInteger, nullable=False),
    Column("resets", Integer, nullable=False, server_default="0"),
    Column("read_at", DateTime(timezone=True), nullable=False),
)
