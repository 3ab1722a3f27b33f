"""Engines as Backends of Envoy Gateway. Pure."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from controlplane.gateway.clusters import is_ip
from controlplane.gateway.ports import GatewayBackend, GatewayRejected
from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.manifests import Json, Manifest, manifest, name_of
from controlplane.kubernetes.render.services import address_of


def engine_name(profile: GatewayProfile, backend_id: str, *, fallback: bool = False) -> str:
    """Return the name of an engine's Backend. One that is also a fallback has two: Envoy Gateway keeps that in the Backend."""
    return name_of(profile, "fallback" if fallback else "engine", backend_id)


def render_engines(profile: GatewayProfile, backends: Iterable[GatewayBackend], fallbacks: frozenset[str]) -> list[Manifest]:
    """Return a Backend for each engine, and one more for those among the `fallbacks`; raises GatewayRejected for an address that is none."""
    rendered = []
    for backend in backends:
        spec = _spec(profile, backend)
        rendered.append(manifest(profile, "Backend", engine_name(profile, backend.backend_id), spec))
        if backend.backend_id in fallbacks:
            name = engine_name(profile, backend.backend_id, fallback=True)
            rendered.append(manifest(profile, "Backend", name, {**spec, "fallback": True}))
    return rendered


def _spec(profile: GatewayProfile, backend: GatewayBackend) -> Json:
    url = urlsplit(backend.base_url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise GatewayRejected(f"backend '{backend.backend_id}' has no address of the form http(s)://host:port: {backend.base_url}")
    host, port = url.hostname, url.port or (443 if url.scheme == "https" else 80)
    spec: Json = {"endpoints": [address_of(host, port)]}
    if url.scheme == "https":
        if is_ip(host):
            raise GatewayRejected(
                f"backend '{backend.backend_id}': Envoy Gateway cannot check a certificate against an IP address;"
                f" give the engine a DNS name: {backend.base_url}"
            )
        authorities: Json = {"wellKnownCACertificates": "System"}
        if profile.engine_ca:
            authorities = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": profile.engine_ca}]}
        spec["tls"] = {"sni": host, **authorities}
    return spec
