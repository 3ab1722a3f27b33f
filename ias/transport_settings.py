"""Settings of a service that Envoy calls: where it listens, on which transport, with which limits."""

import dataclasses
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from ias.settings import Settings
from ias.transport import ListenOptions, Tls, TransportName
from ias.wire.limits import Limits


class TransportSettings(Settings):
    """The parent of such a service's settings class, which gives `listen` its default."""

    listen: str
    """Where Envoy reaches us: `unix:/path` or `host:port`."""

    transport: TransportName = "wire"
    """The gRPC server: `wire`, our own, or `grpcio`, the reference."""

    transport_limits: Limits = Field(default_factory=Limits)
    """JSON object of the limits that are to differ from their defaults; docs/settings.md lists them."""

    tls_certificate_path: Path | None = None
    """PEM file of our certificate with its chain; without it connections are not encrypted."""

    tls_key_path: Path | None = None
    """PEM file of the certificate's key."""

    tls_client_ca_path: Path | None = None
    """PEM file of the authority whose clients alone may connect (mTLS)."""

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate_path is None) != (self.tls_key_path is None):
            raise ValueError("IAS_TLS_CERTIFICATE_PATH and IAS_TLS_KEY_PATH need each other")
        if self.tls_client_ca_path is not None and self.tls_certificate_path is None:
            raise ValueError("IAS_TLS_CLIENT_CA_PATH needs IAS_TLS_CERTIFICATE_PATH")
        return self

    def listen_options(self, service: str, max_message_bytes: int | None = None) -> ListenOptions:
        """What the server of `service` needs; `max_message_bytes` where the service knows better than the limits."""
        limits = self.transport_limits
        if max_message_bytes is not None:
            limits = dataclasses.replace(limits, max_message_bytes=max_message_bytes)
        tls = None
        if self.tls_certificate_path is not None and self.tls_key_path is not None:
            tls = Tls(self.tls_certificate_path, self.tls_key_path, self.tls_client_ca_path)
        return ListenOptions(self.listen, limits, (service,), tls)
