"""What an installation on Kubernetes chooses about its gateway. Rendering is a function of this and of the gateway's state.

Written as YAML (camelCase) in the file that IAS_KUBERNETES_PROFILE names; `read_profile` reads it.
"""

import re
from typing import Literal

import msgspec

from controlplane.gateway.bootstrap import Metering

Profile = Literal["plain", "aigateway"]
"""`plain`: HTTPRoutes on `x-ias-model`. `aigateway`: Envoy AI Gateway routes OpenAI models, by the model of the body and `x-ias-model` together."""

EnvoyGatewayVersion = Literal["1.8.1", "1.9.0"]
AIGatewayVersion = Literal["1.1"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PATH_LIMIT = 107
MAX_LISTENERS = 64
"""Gateway API's own limit for each Gateway."""


class ProfileInvalid(ValueError):
    """The profile cannot be rendered; the message says what to change."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Where a part of ours answers: exactly one of a Service, a host with a port, or a Unix socket in Envoy's pod."""

    service: str = ""
    namespace: str = ""
    """Of the Service; empty: the gateway's own."""
    host: str = ""
    """An IPv4 address or a DNS name."""
    port: int = 0
    unix: str = ""

    def __post_init__(self) -> None:
        """Check that it is one address and a whole one."""
        if sum(map(bool, (self.service, self.host, self.unix))) != 1:
            raise ProfileInvalid("an endpoint is exactly one of service, host or unix")
        if not self.unix and not 0 < self.port < 65_536:
            raise ProfileInvalid(f"the endpoint '{self.service or self.host}' needs a port")
        if len(self.unix) > _PATH_LIMIT:
            raise ProfileInvalid(f"the path of a Unix socket has at most {_PATH_LIMIT} characters: {self.unix}")


class Listener(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A port, for one hostname or all; its certificate by reference."""

    name: str
    port: int
    hostname: str = ""
    certificate: str = ""
    """A Secret of type kubernetes.io/tls."""
    certificate_namespace: str = ""
    """Empty: the gateway's own."""
    plaintext: bool = False
    """Without TLS: for tests, and behind a load balancer that ends TLS."""

    def __post_init__(self) -> None:
        """Check that TLS is there, or its absence meant."""
        if not _NAME.fullmatch(self.name):
            raise ProfileInvalid(f"'{self.name}' is no name for a listener: small letters, digits and dashes")
        if bool(self.certificate) == self.plaintext:
            raise ProfileInvalid(f"listener '{self.name}' needs a certificate, or plaintext: true where TLS ends in front of it")


class GlobalLimit(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Requests that all Envoys together let through to each model, counted by our Rate Limit Service."""

    requests: int
    unit: Literal["Second", "Minute", "Hour", "Day"] = "Minute"
    service: Endpoint
    """The Rate Limit Service; Envoy Gateway's own address for it is replaced by this one."""


class GatewayProfile(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Everything that an installation chooses. Times are seconds where the name says `_s`, milliseconds where it says `_ms`."""

    extauth: Endpoint
    extproc: Endpoint
    listeners: tuple[Listener, ...]
    grpc_listeners: tuple[Listener, ...] = ()
    """Ports of their own for gRPC inference of traditional models."""
    engine_grpc_port: int = 8001
    """Where traditional engines answer gRPC inference, without TLS."""
    profile: Profile = "plain"
    metering: Metering = "inline"
    namespace: str = "ias"
    gateway: str = "ias"
    gateway_class: str = "ias"
    controller: str = "gateway.envoyproxy.io/gatewayclass-controller"
    envoy_gateway: EnvoyGatewayVersion = "1.9.0"
    ai_gateway: AIGatewayVersion = "1.1"
    on_host: bool = False
    """Envoy Gateway starts Envoy on its own machine (infrastructure Host) and not in pods."""
    replicas: int | None = None
    """Pods of Envoy; None: whoever scales them decides."""
    engine_ca: str = ""
    """A ConfigMap (`ca.crt`) of CAs that https engines are checked against; empty: the system's."""
    max_body_bytes: int = 10 * 1024 * 1024
    buffer_limit: str = "50Mi"
    """Of a connection: larger than any body that extauth or extproc is to see, or Envoy waits for ever."""
    max_connections: int = 20_000
    """Of each listener, in each Envoy."""
    flood_requests_per_s: int = 2_000
    """Requests that each Envoy lets through to each model; more get 429. It is counted behind extauth: in front of it, strangers could use it up."""
    global_limit: GlobalLimit | None = None
    trusted_hops: int = 0
    """Proxies in front whose `x-forwarded-for` is believed."""
    authorization_timeout_ms: int = 2_000
    processing_timeout_ms: int = 5_000
    request_headers_timeout_s: int = 10
    request_timeout_s: int = 60
    """The whole request must have arrived in this time; then 408."""
    stream_idle_timeout_s: int = 300
    """Silence of an engine, before its answer (504) or in it (cut)."""
    max_stream_duration_s: int = 3_600
    """No request lives longer; Envoys that stop wait as long for those that run."""

    def __post_init__(self) -> None:
        """Check what no renderer could make sense of; raise ProfileInvalid."""
        for what, name in (("namespace", self.namespace), ("gateway", self.gateway), ("gatewayClass", self.gateway_class)):
            if not _NAME.fullmatch(name) or len(name) > 40:
                raise ProfileInvalid(f"{what}: '{name}' is not a name of at most 40 small letters, digits and dashes")
        if not self.listeners:
            raise ProfileInvalid("a gateway needs a listener")
        both = (*self.listeners, *self.grpc_listeners)
        if len(both) > MAX_LISTENERS:
            raise ProfileInvalid(f"a Gateway has at most {MAX_LISTENERS} listeners, not {len(both)}: let one certificate cover several hostnames")
        if len({listener.name for listener in both}) != len(both):
            raise ProfileInvalid("two listeners have the same name")
        if {listener.port for listener in self.listeners} & {listener.port for listener in self.grpc_listeners}:
            raise ProfileInvalid("gRPC inference needs a port of its own: errors have another shape there")
        if self.stream_idle_timeout_s <= self.request_timeout_s:
            raise ProfileInvalid("streamIdleTimeoutS must be longer than requestTimeoutS: an engine's silence would look like the client's")
        if self.metering == "shadow" and self.envoy_gateway == "1.8.1":
            raise ProfileInvalid("metering 'shadow' needs Envoy Gateway 1.9.0: 1.8.1 has no shadowMode. Upgrade it, or use 'inline'")


def read_profile(document: object) -> GatewayProfile:
    """Read a profile from a parsed YAML or JSON document; raises ProfileInvalid with the field that is wrong."""
    try:
        return msgspec.convert(document, GatewayProfile)
    except msgspec.ValidationError as error:
        raise ProfileInvalid(f"the gateway's profile is not valid: {error}") from error
