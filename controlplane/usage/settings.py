"""Settings of the worker."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from controlplane.settings import CountersSettings, EgressSettings, ToleranceSettings
from ias.kafka import KafkaSettings

Directories = Annotated[tuple[Path, ...], NoDecode]


class WorkerSettings(KafkaSettings, CountersSettings, EgressSettings, ToleranceSettings):
    """The environment of `python -m controlplane worker`."""

    database_url: SecretStr
    """PostgreSQL of the ledger: `postgresql://user:password@host/database`, Unix sockets as `?host=/directory`."""

    spool_dirs: Directories = ()
    """Spool directories of the extproc processes, comma separated, when there is no Kafka. One that does not exist yet is waited for."""

    security_dirs: Directories = ()
    """Directories in which extauth processes leave security events, comma separated, when there is no Kafka."""

    kafka_partitions: int = Field(12, ge=1, le=10_000)
    """Partitions of the topics that the worker makes when they are missing: as many workers can share the work."""

    kafka_replicas: int = Field(3, ge=1, le=100)
    """Replicas of the topics that the worker makes; of a cluster with fewer brokers, as many as it has."""

    ledger_months: int = Field(0, ge=0)
    """Whole months that rows of the ledger are kept beside the current one, at least 2; then their sums alone are left. 0: for ever."""

    security_days: int = Field(90, ge=1)
    """Days that security events are kept."""

    audit_seal_interval_s: float = Field(60.0, ge=0.1)
    """Seconds until a row of the audit log is sealed; when many wait, they are at once."""

    reconcile_interval_s: float = Field(300.0, ge=0)
    """How often the ledger is compared with the engines' own counters; 0: never."""

    @field_validator("spool_dirs", "security_dirs", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(dict.fromkeys(Path(part.strip()).absolute() for part in value.split(",") if part.strip()))

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.spool_dirs and not self.kafka_bootstrap:
            raise ValueError("IAS_SPOOL_DIRS needs at least one directory, or IAS_KAFKA_BOOTSTRAP a broker")
        if self.ledger_months == 1:
            raise ValueError("IAS_LEDGER_MONTHS: budgets need at least 2 months, or 0 to keep all")
        return self
