"""Tables of the rollups."""

from sqlalchemy import ARRAY, BigInteger, Column, DateTime, Table, Text, Uuid

from controlplane.schema import metadata
from controlplane.usage.rollups import ROLLUPS, Rollup


def _table(rollup: Rollup) -> Table:
    columns = [dimension.column for dimension in rollup.dimensions]
    return Table(
        rollup.table,
        metadata,
        Column("period_start", DateTime(timezone=True), primary_key=True),
        *(Column(name, Uuid if name.endswith("_id") else Text, primary_key=True) for name in columns),
        *(Column(name, BigInteger, nullable=False) for name in rollup.counts),
        Column("durations", ARRAY(BigInteger), nullable=False),
        Column("first_tokens", ARRAY(BigInteger), nullable=False),
    )


TABLES = {rollup: _table(rollup) for rollup in ROLLUPS}
