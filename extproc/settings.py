"""Settings of extproc."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from ias.context import SigningKeys
from ias.kafka import KafkaSettings
from ias.transport_settings import TransportSettings


class ExtprocSettings(KafkaSettings, TransportSettings):
    """The environment of `python -m extproc`."""

    listen: str = "127.0.0.1:9002"
    """Where Envoy reaches us: `unix:/path` or `host:port`."""

    spool_dir: Path
    """Directory of this process's spool, on a local disk; made if it is missing. Each process needs its own."""

    valkey_url: SecretStr
    """The admission store: `redis://user:password@host:port` or `unix:///path`."""

    signing_keys: dict[str, SecretStr]
    """Keys that sign the context, as JSON from id to hex (at least 32 bytes each); the same as extauth's."""

    signing_key_current: str
    """Id of the key that extauth signs with now."""

    spool_sync_ms: int = Field(default=200, ge=1, le=10_000)
    """How often the spool is forced to disk, in ms: what a power failure can cost. A killed process loses nothing."""

    spool_sync_bytes: int = Field(default=4 << 20, ge=1)
    """So much that is not on disk yet is forced there before its time."""

    spool_segment_bytes: int = Field(default=64 << 20, ge=4096)
    """Size at which a new spool segment begins."""

    spool_segment_age_s: int = Field(default=3_600, ge=1)
    """Age at which a new spool segment begins."""

    spool_total_bytes: int = Field(default=8 << 30, ge=1 << 20)
    """Limit on all segments together. Above it, because the consumer is behind, new requests are refused and live ones recorded."""

    event_limit_bytes: int = Field(default=1 << 20, ge=1024)
    """Larger events of a stream, and larger JSON answers, pass without being held or parsed in full."""

    buffered_json_bytes: int = Field(default=512 << 10, ge=0)
    """JSON answers up to this come in one message. Must stay below Envoy's per_connection_buffer_limit_bytes."""

    store_interval_ms: int = Field(default=100, ge=1, le=10_000)
    """How often the admission store is told of new, live and ended requests, in ms."""

    hold_ttl_s: int = Field(default=60, ge=3, le=86_400)
    """How long a hold outlives this process: a live request is told of three times in that time, one that is not becomes a charge."""

    top_up_patience_ms: int = Field(default=20, ge=1, le=1_000)
    """How long bytes of a stream wait at the edge of its hold for the admission store, in ms; then they pass until it answers."""

    reap_interval_s: float = Field(default=2.0, gt=0)
    """How often admitted requests are looked for that nobody ends."""

    stuck_after_s: float = Field(default=10.0, ge=1)
    """A process whose event loop does nothing for so long ends itself: a stuck one would hang its clients, a dead one is replaced."""

    drain_s: float = Field(default=300.0, ge=0)
    """How long live streams may go on after SIGTERM; then they are cut and recorded as lost."""

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        self.keys()
        return self

    def keys(self) -> SigningKeys:
        """The signing keys; raise ValueError when they are none."""
        try:
            decoded = {kid: bytes.fromhex(key.get_secret_value()) for kid, key in self.signing_keys.items()}
        except ValueError:
            raise ValueError("a key of IAS_SIGNING_KEYS is not hexadecimal") from None
        return SigningKeys(self.signing_key_current, decoded)
