"""Where Envoy finds our own services: references to Services, or to Backends made for hosts and sockets. Pure."""

import ipaddress

from controlplane.kubernetes.labels import SERVICE
from controlplane.kubernetes.profile import Endpoint, GatewayProfile
from controlplane.kubernetes.render.manifests import ENVOY_GATEWAY, Json, Manifest, manifest, named

_UNLIMITED = 65_536


def service_ref(profile: GatewayProfile, name: str, endpoint: Endpoint) -> Json:
    """Return the reference of a policy to one of our services."""
    if not endpoint.service:
        return {"group": ENVOY_GATEWAY, "kind": "Backend", "name": named(profile, name)}
    reference: Json = {"group": "", "kind": "Service", "name": endpoint.service, "port": endpoint.port}
    if endpoint.namespace and endpoint.namespace != profile.namespace:
        reference["namespace"] = endpoint.namespace
    return reference


def render_services(profile: GatewayProfile) -> list[Manifest]:
    """Return the Backends of those that are no Services."""
    return [
        _backend(profile, name, endpoint) for name, endpoint in (("extauth", profile.extauth), ("extproc", profile.extproc)) if not endpoint.service
    ]


def connections() -> Json:
    """Return the settings of the connections to our services."""
    return {
        # One HTTP/2 connection goes to one process for its whole life, so calls are spread by load, not in turn.
        "loadBalancer": {"type": "LeastRequest"},
        # ext_proc holds one request for each live stream; the default of 1024 would refuse the rest.
        "circuitBreaker": {"maxConnections": 4_096, "maxPendingRequests": _UNLIMITED, "maxParallelRequests": _UNLIMITED},
        "timeout": {"tcp": {"connectTimeout": "1s"}},
        "connection": {"bufferLimit": "50Mi"},
    }


def _backend(profile: GatewayProfile, name: str, endpoint: Endpoint) -> Manifest:
    rendered = manifest(profile, "Backend", named(profile, name), {"endpoints": [_address(endpoint)]})
    rendered["metadata"]["annotations"] = {SERVICE: name}
    return rendered


def _address(endpoint: Endpoint) -> Json:
    if endpoint.unix:
        return {"unix": {"path": endpoint.unix}}
    return address_of(endpoint.host, endpoint.port)


def address_of(host: str, port: int) -> Json:
    """Return the endpoint of a Backend for an IP address or a DNS name."""
    try:
        return {"ip": {"address": str(ipaddress.ip_address(host)), "port": port}}
    except ValueError:
        return {"fqdn": {"hostname": host, "port": port}}
