"""Settings of the control plane's API and of its commands. The worker's are in `controlplane/usage/settings.py`."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from controlplane.client_address import Network
from controlplane.gateway.bootstrap import Metering
from controlplane.mail.settings import MailSettings
from controlplane.orgs.rules import NewOrgApproval
from ias.settings import Settings

_MIN_SECRET_BYTES = 32


def _split(value: object) -> object:
    """Read a comma separated list; what is none already is left to its type."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_split)]


class DatabaseSettings(Settings):
    """What every command needs."""

    database_url: SecretStr
    """PostgreSQL: `postgresql://user:password@host:port/database`; over a Unix socket `postgresql://user:password@/database?host=/directory`."""

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return value


class MigrateSettings(DatabaseSettings):
    """The URL is that of the database's owner. API, worker and extauth work as roles that may do less."""

    control_plane_password: SecretStr = SecretStr("")
    """Password of the role `ias_control_plane`, for API and worker, which is made or changed after the migration; empty: it is left as it is."""

    data_plane_password: SecretStr = SecretStr("")
    """The same of the role `ias_data_plane`, for extauth."""


class VerifyAuditSettings(DatabaseSettings):
    """What `verify-audit` compares."""

    expected_seals: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()
    """Seals noted down before, `number:hash`, comma separated: they must be in the chain."""

    @field_validator("expected_seals")
    @classmethod
    def _marks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch("[1-9][0-9]{0,17}:[0-9a-f]{64}", mark) for mark in value):
            raise ValueError("a seal is its number and its hash of 64 hex digits, 12:ab…")
        return value


class CountersSettings(Settings):
    """What leads to the counters of budgets."""

    valkey_url: SecretStr = SecretStr("")
    """Valkey of extauth, for what is spent and held of budgets, `redis://:password@host:port` or `unix://:password@/path`; empty: ledger only."""

    @field_validator("valkey_url")
    @classmethod
    def _valkey(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return value


class EgressSettings(Settings):
    """Where calls to engines may go."""

    egress_allowed_networks: Networks = ()
    """Networks that are not public and may be called all the same, comma separated (`10.20.0.0/16,fd00:1::/64`): those of your engines."""


class ToleranceSettings(Settings):
    """When a difference is an alarm."""

    reconcile_tolerance: float = Field(default=0.01, ge=0, le=1)
    """Share of an engine's tokens by which the ledger may differ before it is an alarm; requests that run are in one and not in the other."""


class ReconcileSettings(DatabaseSettings, CountersSettings, EgressSettings, ToleranceSettings):
    """What `reconcile` compares."""


class KubernetesSettings(Settings):
    """Where Envoy Gateway is the gateway (docs/kubernetes.md)."""

    gateway: Literal["file", "kubernetes"] = "file"
    """What makes the gateway's configuration: Envoy's file xDS on this machine, or Envoy Gateway in a Kubernetes cluster."""

    kubernetes_profile: Path | None = None
    """YAML file of what the installation chooses about its gateway: names, listeners, where extauth and extproc are."""

    kubernetes_kubeconfig: Path | None = None
    """How the cluster is reached; empty: as the pod's service account."""

    kubernetes_confirm_seconds: float = Field(10.0, ge=0, le=600)
    """How long a controller may take to judge what was written. 0: nobody is waited for."""

    kubernetes_resync_seconds: float = Field(60.0, ge=1, le=3600)
    """Between two looks at the whole; what changes is seen at once by watching."""

    kubernetes_lease_seconds: float = Field(15.0, ge=1, le=600)
    """After so long without a sign of the process that watches the cluster, another one takes its place."""


class ApiSettings(DatabaseSettings, MailSettings, CountersSettings, EgressSettings, KubernetesSettings):
    """The REST API."""

    api_listen: str = "127.0.0.1:8085"
    """`host:port` to listen on; port 0 takes any free one and logs it."""

    peppers: dict[int, SecretStr] = Field(min_length=1)
    """JSON object of version to hex secret (at least 32 bytes) under which API keys are digested; the highest version is used for new keys."""

    token_secret: SecretStr
    """Secret that signs session tokens, at least 32 bytes."""

    public_url: str = Field("http://127.0.0.1:8085", pattern=r"^https?://[^/?#\s]+$")
    """Where people reach the portal and this API, without a path: the beginning of every link in a mail. With `https` cookies are `Secure`."""

    trusted_proxies: Networks = ()
    """Networks of proxies before this API whose `X-Forwarded-For` is believed, comma separated (`10.0.0.0/8`); empty: it is ignored."""

    token_lifetime_s: int = Field(default=3600, ge=60, le=30 * 24 * 3600)
    """Seconds that an access token lasts; until the end of its session it can be renewed."""

    session_lifetime_s: int = Field(default=12 * 3600, ge=60, le=30 * 24 * 3600)
    """Seconds after a sign-in at which its session ends, however busy it is."""

    session_idle_s: int = Field(default=1800, ge=120, le=30 * 24 * 3600)
    """Seconds without a request after which the session of a browser ends."""

    org_grace_s: int = Field(default=7 * 86400, ge=0, le=365 * 86400)
    """Seconds in which a deleted org can be restored; its keys and sign-ins stop at once. 0: it is gone at once."""

    new_org_approval: NewOrgApproval = "automatic"
    """Whether a new org approves every model of every backend by a rule that its admins can end, or begins with nothing approved (`manual`)."""

    key_env: str = Field(default="live", pattern="^[a-z]{1,8}$")
    """The environment part of new API keys (`ias_<env>_…`)."""

    keys_per_user: int = Field(default=50, ge=1)
    """Keys that one user may have at once, revoked ones not counted."""

    validations_per_minute: int = Field(default=30, ge=1, le=1_000_000)
    """Keys that one client address may have checked by `POST /api/validate-api-key` in a minute; some more at once."""

    gateway_dir: Path | None = None
    """Folder of Envoy's file xDS that publishing writes; empty: this process configures no gateway."""

    envoy_admin: str = ""
    """URL of Envoy's admin interface, or `unix:/path`: where it is checked which configuration Envoy took."""

    envoy_log: Path | None = None
    """File that takes Envoy's standard error: the only place where Envoy says why it refused a configuration."""

    gateway_url: str = Field("http://127.0.0.1:8080", pattern=r"^https?://[^/?#\s]+$")
    """Where clients reach the gateway, without a path: what the API tells people as the endpoint of a model."""

    canary_url: str = Field("", pattern=r"^(https?://[^/?#\s]+)?$")
    """Where the API itself reaches the gateway, to try each model that it publishes; empty: at `IAS_GATEWAY_URL`."""

    canary_seconds: float = Field(10.0, ge=0.1, le=600)
    """How long that may take; then the publication is taken back. Engines that are slow at their first answer need more."""

    publications_per_org: int = Field(default=100, ge=0, le=1_000_000)
    """Models that one org may have published, unless a System Admin gives it a number of its own."""

    metering: Metering = "inline"
    """The gateway's profile, as extauth has it. Publishing refuses for `shadow` what only `inline` can do: other admission modes, renamed models."""

    probe_interval: float = Field(10.0, ge=0.1, le=3600)
    """Seconds between two probes of a backend that has no interval of its own."""

    discovery_interval: float = Field(60.0, ge=0.1, le=86_400)
    """Seconds between two probes that ask for the list of models, too."""

    probes_to_go_down: int = Field(3, ge=1, le=100)
    """Bad probes in a row after which a backend is unhealthy."""

    probes_to_come_up: int = Field(2, ge=1, le=100)
    """Good probes in a row after which it is healthy again."""

    backend_credentials_dir: Path | None = None
    """Folder of the credentials that backends are shown, a file for each name; read again every ten seconds, so that a new one needs no restart."""

    @property
    def configures_gateway(self) -> bool:
        """Whether this process changes what a gateway serves."""
        return self.gateway == "kubernetes" or self.gateway_dir is not None

    @model_validator(mode="after")
    def _one_gateway(self) -> Self:
        if self.gateway == "kubernetes" and self.kubernetes_profile is None:
            raise ValueError("IAS_GATEWAY=kubernetes needs IAS_KUBERNETES_PROFILE")
        return self

    @field_validator("api_listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("must be host:port")
        return value

    @field_validator("peppers")
    @classmethod
    def _long_hex(cls, value: dict[int, SecretStr]) -> dict[int, SecretStr]:
        for version, secret in value.items():
            try:
                size = len(bytes.fromhex(secret.get_secret_value()))
            except ValueError:
                raise ValueError(f"the secret of version {version} is not hex") from None
            if size < _MIN_SECRET_BYTES:
                raise ValueError(f"the secret of version {version} has less than {_MIN_SECRET_BYTES} bytes")
        return value

    @field_validator("token_secret")
    @classmethod
    def _long(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value().encode()) < _MIN_SECRET_BYTES:
            raise ValueError(f"must have at least {_MIN_SECRET_BYTES} bytes")
        return value
