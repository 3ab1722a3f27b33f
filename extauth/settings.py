"""Settings of extauth."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from ias.context import SigningKeys
from ias.kafka import KafkaSettings
from ias.transport_settings import TransportSettings

Milliseconds = Annotated[int, Field(ge=1, le=600_000)]
_MIN_SECRET_BYTES = 32


class ExtauthSettings(KafkaSettings, TransportSettings):
    """Environment of `python -m extauth`."""

    listen: str = "127.0.0.1:9001"
    """Where Envoy reaches us: `unix:/path` or `host:port`."""

    database_url: SecretStr
    """PostgreSQL, `postgresql://user:password@host/database`; a folder with a Unix socket goes into `?host=/folder`. Read-only."""

    valkey_url: SecretStr
    """Valkey, `redis://:password@host:port` or `unix://:password@/path.sock`."""

    peppers: dict[int, SecretStr]
    """JSON object: version to hex of at least 32 bytes. Digests of API keys are made under one of them; all in use are needed."""

    signing_keys: dict[str, SecretStr]
    """JSON object: key id to hex of at least 32 bytes, the keys of the signed context. extproc has the same."""

    signing_key_current: str
    """Id of the key that signs."""

    changes_interval_ms: Milliseconds = 500
    """Pause between two polls of the change log: a revoked key is refused after at most this and the time of one poll."""

    max_state_age_s: Annotated[int, Field(ge=1)] = 900
    """How long known keys pass while PostgreSQL does not answer; then every request gets a 503."""

    max_credentials: Annotated[int, Field(ge=1)] = 10_000_000
    """Most live credential ids, 8 bytes each in memory. More than that in the database: we do not start."""

    max_credential_records: Annotated[int, Field(ge=1)] = 100_000
    """Most credential records kept in memory, about 1,250 bytes each; others cost one read of PostgreSQL at each use."""

    database_timeout_ms: Milliseconds = 500
    """Longest wait of a request for PostgreSQL. Envoy's timeout of ext_authz must be longer."""

    max_learned_values: Annotated[int, Field(ge=1)] = 100_000
    """Most pairs of org and publication whose learned tokens per byte are kept in memory, about 500 bytes each."""

    store_timeout_ms: Milliseconds = 20
    """Longest wait of a request for Valkey; then this process decides alone, by its share of the limits, until Valkey answers again."""

    replica_interval_ms: Milliseconds = 2_000
    """Pause between two beats of this replica in Valkey: the share of a limit is the limit divided by the replicas seen last."""

    claim_timeout_ms: Milliseconds = 10_000
    """Time for an admitted request to reach extproc, before it is recorded as lost."""

    default_output_cap: Annotated[int, Field(ge=1, le=1 << 31)] = 4_096
    """Output tokens to hold for, and to write as a cap where the admission mode needs one, when neither the request nor its publication has a cap."""

    top_up_tokens: Annotated[int, Field(ge=1, le=1 << 20)] = 256
    """Step in which the hold of a stream grows that did not hold its whole output: smaller overspends less, larger asks Valkey less often."""

    visitor_requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 60
    """Requests without an API key that one network (IPv4 /24, IPv6 /48) may send in a minute to one publication that needs none."""

    metering: Literal["inline", "shadow"] = "inline"
    """The gateway's profile. In `shadow` no byte of a request can be changed and no answer ended: every request is admitted as `lenient`."""

    max_body_bytes: Annotated[int, Field(ge=1, le=16_000_000)] = 10 * 1024 * 1024
    """Largest request body; Envoy's own limit should be the same."""

    security_dir: Path | None = None
    """Directory where this process leaves counts of what it refused for the worker or, with Kafka, until Kafka has them; empty: nowhere."""

    drain_s: Annotated[int, Field(ge=0)] = 10
    """Time for running calls to end after SIGTERM."""

    @model_validator(mode="after")
    def _keys_are_usable(self) -> "ExtauthSettings":
        for secret in (*self.peppers.values(), *self.signing_keys.values()):
            try:
                length = len(bytes.fromhex(secret.get_secret_value()))
            except ValueError:
                length = 0
            if length < _MIN_SECRET_BYTES:
                raise ValueError(f"every one of IAS_PEPPERS and IAS_SIGNING_KEYS must be the hex of at least {_MIN_SECRET_BYTES} bytes")
        if not self.peppers:
            raise ValueError("IAS_PEPPERS needs at least one entry")
        self.context_keys()
        return self

    def context_keys(self) -> SigningKeys:
        """The signing keys as bytes."""
        return SigningKeys(self.signing_key_current, {kid: bytes.fromhex(key.get_secret_value()) for kid, key in self.signing_keys.items()})

    def pepper_bytes(self) -> dict[int, bytes]:
        """The peppers as bytes."""
        return {version: bytes.fromhex(pepper.get_secret_value()) for version, pepper in self.peppers.items()}
