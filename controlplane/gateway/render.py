"""Turns a desired state into Envoy's clusters (CDS) and routes (RDS). Pure: equal states give equal bytes.

Model lookup is one hash lookup whatever the number of models: the virtual host's matcher tree maps `x-ias-model`
exactly to a route. Only extauth sets that header (the edge removes it from clients), so a request that extauth did not
pass falls through to the routes below it, none of which leads to an engine.
"""

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from controlplane.gateway.ports import GatewayBackend, GatewayRejected, GatewayState
from ias import headers

Json = dict[str, Any]

CDS_FILE = "cds.json"
RDS_FILE = "rds.json"
ROUTE_CONFIG_NAME = "models"
INFERENCE_PREFIX = "/v1/"
"""Paths that reach extauth. Everything else is unknown here, without a question to anyone."""

_TYPE = "type.googleapis.com/envoy."
_ENVOY_HEADERS = ("x-envoy-auth-partial-body", "x-envoy-external-address", "x-envoy-internal")
"""What Envoy itself writes into requests; no engine's business."""
_CODINGS = "accept-encoding"
"""A compressed answer cannot be counted without inflating it: engines are asked for identity."""
_encode = msgspec.json.Encoder(order="deterministic").encode
_DISABLED: Json = {
    "envoy.filters.http.ext_authz": {"@type": _TYPE + "extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled": True},
    "envoy.filters.http.ext_proc": {"@type": _TYPE + "extensions.filters.http.ext_proc.v3.ExtProcPerRoute", "disabled": True},
}


@dataclass(frozen=True, slots=True)
class Resources:
    """The content of one xDS file."""

    version: str
    """A hash of the resources: equal content, equal version."""
    resources: tuple[Json, ...]

    def to_json(self) -> bytes:
        """Render the DiscoveryResponse that Envoy reads."""
        return _encode({"version_info": self.version, "resources": self.resources})


def resources(items: Iterable[Json]) -> Resources:
    """Sort resources by name and give them the version of their content."""
    ordered = tuple(sorted(items, key=lambda item: str(item["name"])))
    return Resources(hashlib.sha256(_encode(ordered)).hexdigest()[:16], ordered)


def render(state: GatewayState, trusted_ca: str) -> tuple[Resources, Resources]:
    """Return clusters and routes; `trusted_ca` is the file of CAs that https engines are checked against.

    Raises:
        GatewayRejected: a model has two routes, or its backend is not in the state.
    """
    names = {backend.backend_id: cluster_name(backend) for backend in state.backends}
    if len(names) != len(state.backends):
        raise GatewayRejected("two backends have the same id")
    models: dict[str, Json] = {}
    for route in state.routes:
        if route.backend_id not in names:
            raise GatewayRejected(f"model '{route.model}' goes to backend '{route.backend_id}', which is not there")
        if route.model in models:
            raise GatewayRejected(f"model '{route.model}' has two routes")
        models[route.model] = _model_route(names[route.backend_id])
    return resources(_cluster(backend, trusted_ca) for backend in state.backends), resources([_route_configuration(models)])


def cluster_name(backend: GatewayBackend) -> str:
    """Return a name that changes with the address: an engine that moves is a new cluster, and streams to the old one finish there."""
    return f"engine-{backend.backend_id}-{hashlib.sha256(backend.base_url.encode()).hexdigest()[:8]}"


def _route_configuration(models: dict[str, Json]) -> Json:
    host: Json = {
        "name": "gateway",
        "domains": ["*"],
        # Only what never reached an engine is tried again.
        "retry_policy": {"retry_on": "connect-failure,refused-stream", "num_retries": 1},
    }
    if models:
        host["matcher"] = {
            "matcher_tree": {
                "input": {
                    "name": "model",
                    "typed_config": {"@type": _TYPE + "type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": headers.MODEL},
                },
                "exact_match_map": {"map": {model: _action(route) for model, route in models.items()}},
            },
            "on_no_match": _action({"@type": _TYPE + "config.route.v3.RouteList", "routes": _fall_through()}),
        }
    else:
        host["routes"] = _fall_through()  # Envoy refuses an empty map
    return {
        "@type": _TYPE + "config.route.v3.RouteConfiguration",
        "name": ROUTE_CONFIG_NAME,
        "request_headers_to_remove": [*headers.CREDENTIALS, headers.CONTEXT, headers.MODEL, headers.TAGS, *_ENVOY_HEADERS, _CODINGS],
        "response_headers_to_remove": ["server"],
        "virtual_hosts": [host],
    }


def _fall_through() -> list[Json]:
    """Routes of requests that carry no known model. The one that a request meets first also decides about its filters."""
    without_credential = [{"name": name, "present_match": False} for name in headers.CREDENTIALS]
    return [
        # CONNECT has no path and no end: extauth would wait for its body.
        {"name": "connect", "match": {"connect_matcher": {}}, **_answer(403), "typed_per_filter_config": _DISABLED},
        # extauth passed it, but the model is not in these routes (yet, or no more); extproc still records the request.
        {"name": "unknown-model", "match": {"prefix": "/", "headers": [{"name": headers.MODEL, "present_match": True}]}, **_answer(404)},
        # No credential: refused before a byte of body is buffered.
        {
            "name": "no-credential",
            "match": {"prefix": INFERENCE_PREFIX, "headers": without_credential},
            **_answer(401),
            "typed_per_filter_config": _DISABLED,
        },
        {"name": "entry", "match": {"prefix": INFERENCE_PREFIX}, **_answer(404)},
        {"name": "unknown-url", "match": {"prefix": "/"}, **_answer(404), "typed_per_filter_config": _DISABLED},
    ]


def _answer(status: int) -> Json:
    return {"direct_response": {"status": status}}


def _model_route(cluster: str) -> Json:
    return {
        "@type": _TYPE + "config.route.v3.Route",
        "match": {"prefix": "/"},
        # No timeout for the whole answer: the listener ends idle and endless streams.
        "route": {"cluster": cluster, "timeout": "0s", "auto_host_rewrite": True},
    }


def _action(typed_config: Json) -> Json:
    return {"action": {"name": "route", "typed_config": typed_config}}


def _cluster(backend: GatewayBackend, trusted_ca: str) -> Json:
    url = urlsplit(backend.base_url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise GatewayRejected(f"backend '{backend.backend_id}' has no address of the form http(s)://host:port: {backend.base_url}")
    name = cluster_name(backend)
    address = {"socket_address": {"address": url.hostname, "port_value": url.port or (443 if url.scheme == "https" else 80)}}
    cluster: Json = {
        "@type": _TYPE + "config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC" if _is_ip(url.hostname) else "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "2s",
        "circuit_breakers": {"thresholds": [{"max_connections": 65_536, "max_pending_requests": 65_536, "max_requests": 65_536, "max_retries": 64}]},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 15, "keepalive_probes": 4}},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address, "hostname": url.netloc}}]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
                # vLLM and other uvicorn servers close idle connections after 5 s: close first, or a request meets the closing one.
                "common_http_protocol_options": {"idle_timeout": "4s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }
    if url.scheme == "https":
        cluster["transport_socket"] = _tls(url.hostname, trusted_ca)
    return cluster


def _tls(host: str, trusted_ca: str) -> Json:
    san = {"san_type": "IP_ADDRESS" if _is_ip(host) else "DNS", "matcher": {"exact": host}}
    context: Json = {
        "@type": _TYPE + "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"validation_context": {"trusted_ca": {"filename": trusted_ca}, "match_typed_subject_alt_names": [san]}},
    }
    if not _is_ip(host):
        context["sni"] = host
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
