"""Turns engines into Envoy's clusters (CDS). Pure: equal states give equal bytes.

A model on one engine, with nothing of its own, shares the engine's cluster with all others there. A model with several
engines, or with limits of its own, has a *pool*: one cluster with its targets by priority and weight. Envoy asks the
engines of a pool how they are, so that a dead one is left out without a word from the control plane
(docs/decisions/0017).
"""

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from controlplane.gateway.ports import GatewayBackend, GatewayRejected, GatewayRoute, GatewayTarget, GatewayTraffic
from controlplane.gateway.traffic import traffic_of
from controlplane.gateway.upstream_credentials import endpoint_metadata, engine_filters, pool_filters

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy."
_UNLIMITED = 65_536
_POOL_RETRIES = 1_024
"""Tries again that may run at once: when an engine dies, all that were about to connect go elsewhere."""
_encode = msgspec.json.Encoder(order="deterministic").encode

# Two answers decide, so that one slow answer moves nobody.
_HEALTH_CHECK: Json = {
    "timeout": "2s",
    "interval": "2s",
    "no_traffic_interval": "2s",
    "unhealthy_threshold": 2,
    "healthy_threshold": 2,
}

HEALTHY_STATUSES = (200, 401, 403, 404, 405, 501)
"""What a health check is answered by an engine that is there: that it is well; that Envoy's question shows no credential; that it has no such
path, which says nothing of it (`controlplane.backends.prober_http` sees that likewise)."""

# What a health check cannot see: an engine that says it is well and fails. At most half are put aside for that, so that requests that
# no engine can answer do not take a model away.
_OUTLIERS: Json = {
    "interval": "1s",
    "base_ejection_time": "5s",
    "max_ejection_time": "60s",
    "max_ejection_percent": 50,
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 3,
    "consecutive_gateway_failure": 5,
    "enforcing_consecutive_gateway_failure": 100,
    "enforcing_consecutive_5xx": 0,
    "enforcing_success_rate": 0,
    "enforcing_local_origin_success_rate": 0,
}


@dataclass(frozen=True, slots=True)
class GatewayFiles:
    """What clusters name on the gateway's disk."""

    trusted_ca: str
    """The CAs that https engines are checked against."""
    secrets: Path
    """The folder of `secret_files.SecretFiles`; absolute."""


def cluster_name(backend: GatewayBackend) -> str:
    """Return a name that changes with what is in it: an engine that moves is a new cluster, and streams to the old one finish there."""
    content = backend.base_url
    if backend.credential:
        content += f" {backend.credential}"
    if backend.traffic != GatewayTraffic():
        content += f" {backend.traffic}"
    return f"engine-{backend.backend_id}-{_digest(content.encode(), 8)}"


def has_pool(route: GatewayRoute) -> bool:
    """Whether a model needs a cluster of its own."""
    return len(route.targets) > 1 or route.traffic != GatewayTraffic()


def engine_cluster(backend: GatewayBackend, files: GatewayFiles) -> Json:
    """Return the cluster that all models of an engine share; raise GatewayRejected for an address that is none."""
    name, url = cluster_name(backend), _address_of(backend)
    cluster = _cluster(backend.traffic, engine_filters(backend.credential, files.secrets), static=is_ip(url.hostname or ""))
    cluster |= {"name": name, "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": _endpoint(url)}]}]}}
    if url.scheme == "https":
        cluster["transport_socket"] = _tls(url.hostname or "", files.trusted_ca)
    return cluster


def pool_cluster(route: GatewayRoute, backends: Mapping[str, GatewayBackend], files: GatewayFiles) -> Json:
    """Return the cluster of a model of its own. Its name changes with its content, so that a change never touches what runs."""
    targets = sorted(route.targets, key=lambda target: (target.priority, target.backend_id))
    urls = {target.backend_id: _address_of(backends[target.backend_id]) for target in targets}
    ranks = {priority: rank for rank, priority in enumerate(sorted({target.priority for target in targets}))}
    filters = pool_filters((backends[target.backend_id] for target in targets), files.secrets)
    cluster = _cluster(traffic_of(route, backends), filters, static=all(is_ip(url.hostname or "") for url in urls.values()))
    cluster["circuit_breakers"]["thresholds"][0]["max_retries"] = _POOL_RETRIES
    if secure := {backend_id: url for backend_id, url in urls.items() if url.scheme == "https"}:
        cluster["transport_socket_matches"] = [
            {"name": backend_id, "match": {"backend": backend_id}, "transport_socket": _tls(url.hostname or "", files.trusted_ca)}
            for backend_id, url in secure.items()
        ]
    if len(targets) > 1:
        # Never send to engines that are known to be down: with none left the answer is 503 at once (docs/decisions/0017).
        cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}, "locality_weighted_lb_config": {}}
        cluster["outlier_detection"] = _OUTLIERS
        if len(paths := {backends[target.backend_id].health_path for target in targets}) == 1:
            check = {"path": paths.pop(), "expected_statuses": [{"start": status, "end": status + 1} for status in HEALTHY_STATUSES]}
            cluster["health_checks"] = [{**_HEALTH_CHECK, "http_health_check": check}]
    endpoints = [_locality(target, ranks[target.priority], urls[target.backend_id], marked=bool(filters)) for target in targets]
    name = f"pool-{_digest(route.model.encode(), 12)}-{_digest(_encode([cluster, endpoints]), 8)}"
    return cluster | {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


def _locality(target: GatewayTarget, priority: int, url: SplitResult, *, marked: bool) -> Json:
    """One locality for each target: its weight holds however many addresses its name has."""
    endpoint: Json = {"endpoint": {**_endpoint(url), "health_check_config": {"hostname": url.netloc}}}
    metadata = endpoint_metadata(target.backend_id) if marked else {}
    if url.scheme == "https":
        metadata["envoy.transport_socket_match"] = {"backend": target.backend_id}
    if metadata:
        endpoint["metadata"] = {"filter_metadata": metadata}
    return {
        "locality": {"region": target.backend_id},
        "priority": priority,
        "load_balancing_weight": target.weight,
        "lb_endpoints": [endpoint],
    }


def _cluster(traffic: GatewayTraffic, filters: list[Json], *, static: bool) -> Json:
    thresholds = {
        "max_connections": _limit(traffic.max_connections),
        "max_pending_requests": _limit(traffic.max_pending_requests),
        "max_requests": _limit(traffic.max_requests),
        "max_retries": 64,
    }
    return {
        "@type": _TYPE + "config.cluster.v3.Cluster",
        "type": "STATIC" if static else "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": f"{traffic.connect_timeout_ms / 1000:g}s",
        "circuit_breakers": {"thresholds": [thresholds]},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 15, "keepalive_probes": 4}},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
                # vLLM and other uvicorn servers close idle connections after 5 s: close first, or a request meets the closing one.
                "common_http_protocol_options": {"idle_timeout": "4s"},
                "explicit_http_config": {"http_protocol_options": {}},
                **({"http_filters": filters} if filters else {}),
            }
        },
    }


def _limit(value: int | None) -> int:
    return _UNLIMITED if value is None else value


def _address_of(backend: GatewayBackend) -> SplitResult:
    url = urlsplit(backend.base_url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise GatewayRejected(f"backend '{backend.backend_id}' has no address of the form http(s)://host:port: {backend.base_url}")
    return url


def _endpoint(url: SplitResult) -> Json:
    port = url.port or (443 if url.scheme == "https" else 80)
    return {"address": {"socket_address": {"address": url.hostname, "port_value": port}}, "hostname": url.netloc}


def _tls(host: str, trusted_ca: str) -> Json:
    san = {"san_type": "IP_ADDRESS" if is_ip(host) else "DNS", "matcher": {"exact": host}}
    context: Json = {
        "@type": _TYPE + "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"validation_context": {"trusted_ca": {"filename": trusted_ca}, "match_typed_subject_alt_names": [san]}},
    }
    if not is_ip(host):
        context["sni"] = host
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _digest(content: bytes, length: int) -> str:
    return hashlib.sha256(content).hexdigest()[:length]


def is_ip(host: str) -> bool:
    """Whether a host is an address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
