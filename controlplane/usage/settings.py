"""Settings of the worker."""

from pathlib import Path
from typing import Annotated

from pydantic import SecretStr, field_validator
from pydantic_settings import NoDecode

from ias.settings import Settings


class WorkerSettings(Settings):
    """The environment of `python -m controlplane worker`."""

    database_url: SecretStr
    """PostgreSQL of the ledger: `postgresql://user:password@host/database`, Unix sockets as `?host=/directory`."""

    spool_dirs: Annotated[tuple[Path, ...], NoDecode]
    """Spool directories of the extproc processes, comma separated. One that does not exist yet is waited for."""

    @field_validator("spool_dirs", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        directories = tuple(dict.fromkeys(Path(part.strip()).absolute() for part in value.split(",") if part.strip()))
        if not directories:
            raise ValueError("at least one directory is needed")
        return directories
