"""Settings of the registry's process."""

from typing import Annotated

from pydantic import Field, SecretStr

from ias.transport_settings import TransportSettings


class RegistrySettings(TransportSettings):
    """Environment of `python -m controlplane registry`. Who may reach its socket, or has a certificate of its authority, may ask of every org."""

    listen: str = "127.0.0.1:9003"
    """Where services ask for models: `unix:/path` or `host:port`."""

    database_url: SecretStr
    """PostgreSQL, `postgresql://user:password@host/database`; a folder with a Unix socket goes into `?host=/folder`. It is only read."""

    changes_interval_ms: Annotated[int, Field(ge=1, le=600_000)] = 500
    """Pause between two polls of the change log: a decision is in effect after at most this and the time of one poll."""

    max_state_age_s: Annotated[int, Field(ge=1)] = 900
    """How long the registry answers by what it knows while PostgreSQL does not answer; then every call ends with UNAVAILABLE."""

    database_timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 2000
    """Longest time of one query, except those that read everything."""

    drain_s: Annotated[float, Field(ge=0, le=600)] = 5
    """Seconds that running calls get at the end."""
