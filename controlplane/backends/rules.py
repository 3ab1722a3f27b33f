"""Rules of backends: what an address of one looks like, and what a probe's answers say. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import urlsplit
from uuid import UUID

from controlplane.catalog.engine_list import Told
from ias.gateway_views import ModelType

_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


HEALTH_PATHS = {ModelType.OPENAI: "/health", ModelType.TRADITIONAL: "/v2/health/ready"}
"""Where an engine says how it is, by the protocol that it speaks: vLLM's place, and KServe's."""


class Health(StrEnum):
    """What probes said."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    """Not probed yet."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a probe. `told` is None when the engine was not asked for its models, or did not tell: then the list from before stays."""

    reason: str
    """Why it is not well; empty: it is."""
    told: tuple[Told, ...] | None
    model_type: ModelType | None = None
    """The protocol that it speaks, as its list of models told; None: it told nothing, and what was known stays."""
    latency_ms: float | None = None
    is_denied: bool = False
    """It may not be called: its address is not one that egress allows."""
    base_url: str = ""
    """Where it is, as the object tells that it was registered by; empty: where it was."""
    type_reason: str = ""
    """What in that object tells `model_type`."""

    @property
    def health(self) -> Health:
        """What this probe alone says."""
        return Health.UNHEALTHY if self.reason else Health.HEALTHY

    @property
    def models(self) -> tuple[str, ...] | None:
        """The names of the models."""
        return None if self.told is None else tuple(one.upstream_model for one in self.told)

    @property
    def told_in_health(self) -> "tuple[Told, ...] | None":
        """What can be believed of the models: an engine that is not well may leave out some."""
        return None if self.reason else self.told


def canonical_base_url(text: str) -> str:
    """Return `scheme://host:port` in its one canonical form; raise ValueError that says what is wrong.

    Equal engines get equal strings: the port is always there, the host is in lower case (IPv6 compressed, in brackets).
    """
    try:
        url = urlsplit(text.strip())
        port = url.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    if url.scheme not in _PORTS:
        raise ValueError("a URL that begins with http:// or https:// is needed")
    if url.username is not None or url.password is not None:
        raise ValueError("user name and password do not belong into the URL")
    if url.path not in ("", "/") or url.query or url.fragment or "?" in text or "#" in text:
        raise ValueError("only scheme, host and port, without path, query or fragment")
    if port == 0:
        raise ValueError("port 0 is no port")
    return f"{url.scheme}://{_canonical_host(url.hostname or '')}:{port or _PORTS[url.scheme]}"


def _canonical_host(host: str) -> str:
    if ":" in host:
        try:
            return f"[{IPv6Address(host).compressed}]"
        except AddressValueError as error:
            raise ValueError(f"not an IPv6 address: {error}") from error
    if re.fullmatch(r"[0-9.]+", host):
        try:
            return str(IPv4Address(host))
        except AddressValueError as error:
            raise ValueError(f"not an IPv4 address: {error}") from error
    if not _HOST_NAME.fullmatch(host):
        raise ValueError("the host is not a valid name or address")
    return host


def as_id(text: str) -> UUID | None:
    """Return the id that a text is; None for what can only be a name."""
    try:
        return UUID(text)
    except ValueError:
        return None


def unhealthy(reason: str) -> Verdict:
    """Of an engine that did not answer as it must."""
    return Verdict(reason, None)


def denied(reason: str) -> Verdict:
    """Of an engine that was not asked, because its address may not be called."""
    return Verdict(reason, None, is_denied=True)
