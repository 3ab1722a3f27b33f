"""Settings of the Rate Limit Service."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from ias.transport_settings import TransportSettings
from ratelimit.limit_rules import LimitRule

Milliseconds = Annotated[int, Field(ge=1, le=600_000)]


class RatelimitSettings(TransportSettings):
    """Environment of `python -m ratelimit`."""

    listen: str = "127.0.0.1:9003"
    """Where Envoy reaches us: `unix:/path` or `host:port`. Envoy Gateway expects port 8081 with TLS."""

    valkey_url: SecretStr
    """Valkey, `redis://:password@host:port` or `unix://:password@/path.sock`."""

    rate_limits: tuple[LimitRule, ...] = ()
    """JSON list of limits for descriptors that bring none; docs/ratelimit.md shows one. A descriptor without any limit passes."""

    tell_limits: bool = True
    """Whether clients are told `x-ratelimit-*` headers; false where extauth stands in front, which tells its own."""

    when_store_away: Literal["share", "deny", "allow"] = "share"
    """While Valkey does not answer: `share`, this process lets pass its part of each limit; `deny`, nothing; `allow`, everything."""

    store_timeout_ms: Milliseconds = 20
    """Longest wait of a request for Valkey. The timeout of Envoy's filter must be longer: its default of 20 ms is too short."""

    replica_interval_ms: Milliseconds = 2_000
    """Pause between two beats of this replica in Valkey: the share of a limit is the limit divided by the replicas seen last."""

    max_request_bytes: Annotated[int, Field(ge=1_024, le=16_000_000)] = 1_048_576
    """Largest request of Envoy: a descriptor repeats what a client sent in headers."""

    drain_s: Annotated[int, Field(ge=0)] = 10
    """Time for running calls to end after SIGTERM."""
