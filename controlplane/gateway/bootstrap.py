"""Renders Envoy's bootstrap: the static half of the gateway's configuration, which publishing never touches.

Envoy reads two files beside it that must exist when it starts (`file_xds.write_initial_files`). Start Envoy with
`--disable-hot-restart`, so that several can run side by side.
"""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Literal

from controlplane.gateway.access_log import ACCESS_LOG_LINE
from controlplane.gateway.local_replies import local_reply_mappers
from controlplane.gateway.render import CDS_FILE, RDS_FILE, ROUTE_CONFIG_NAME
from controlplane.gateway.request_headers import FOR_AUTHORIZATION
from ias import headers

Json = dict[str, Any]

_TEMPLATE = "bootstrap.yaml"
_BUFFER_HEADROOM_BYTES = 6 * 1024 * 1024

_PROCESSING_HEADERS = (":path", ":status", "content-type", "content-length", "content-encoding", headers.REQUEST_ID, headers.CONTEXT)


Metering = Literal["inline", "shadow"]
"""How extproc follows requests. `inline`: it is asked about each, can change and end answers, and without it there are none.
`shadow`: it only watches (Envoy's observability mode), adds nothing to a chunk, and cannot change a byte: engines must report usage
unasked, and only the lenient admission mode is possible."""

# What is not named in an override falls back to this; bodies are asked for per request. In shadow nothing can be asked for later.
_PROCESSING_MODES: dict[Metering, Json] = {
    "inline": {
        "request_header_mode": "SEND",
        "response_header_mode": "SKIP",
        "request_body_mode": "NONE",
        "response_body_mode": "NONE",
        "request_trailer_mode": "SKIP",
        "response_trailer_mode": "SKIP",
    },
    "shadow": {
        "request_header_mode": "SEND",
        "response_header_mode": "SEND",
        "request_body_mode": "NONE",
        "response_body_mode": "STREAMED",
        "request_trailer_mode": "SKIP",
        # An answer with trailers ends with them.
        "response_trailer_mode": "SEND",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapParams:
    """What an operator decides about the gateway. Times are milliseconds; addresses are IP addresses to listen on."""

    xds_directory: Path
    """Where `FileXdsGateway` writes; absolute."""
    extauth: tuple[str, ...]
    """Endpoints of extauth, `unix:/path` or `host:port`; calls go to the least busy one."""
    extproc: tuple[str, ...]
    metering: Metering = "inline"
    gateway_address: str = "127.0.0.1"
    gateway_port: int = 8080
    """0 takes any free one; `GET <admin>/listeners?format=json` tells which."""
    admin_address: str = "127.0.0.1"
    """The admin interface has no authentication: loopback only."""
    admin_port: int = 0
    """0 takes any free one; Envoy writes it to the file named by `--admin-address-path`."""
    trusted_hops: int = 0
    """Proxies in front whose `x-forwarded-for` is believed."""
    max_body_bytes: int = 10 * 1024 * 1024
    authorization_timeout_ms: int = 2_000
    processing_timeout_ms: int = 5_000
    request_headers_timeout_ms: int = 10_000
    request_timeout_ms: int = 60_000
    """The whole request must have arrived in this time; then 408."""
    stream_idle_timeout_ms: int = 300_000
    """Silence of an engine, before its answer (504) or in it (cut); longer than `request_timeout_ms`."""
    max_stream_duration_ms: int = 3_600_000
    """No request lives longer: also the last resort of a client whose answer passes through a hung extproc."""
    max_connections: int = 20_000
    max_heap_bytes: int = 2 * 1024 * 1024 * 1024
    """Near it new requests get 503; running ones go on."""
    access_log_path: str = ""
    """A file for one JSON line for each request, `/dev/stdout` too; empty: none. No header of a client but the request's line is in it."""

    def __post_init__(self) -> None:
        if not self.xds_directory.is_absolute():
            raise ValueError(f"xds_directory must be absolute: {self.xds_directory}")
        if self.stream_idle_timeout_ms <= self.request_timeout_ms:
            raise ValueError("stream_idle_timeout_ms must be longer than request_timeout_ms")
        if not self.extauth or not self.extproc:
            raise ValueError("extauth and extproc need at least one endpoint each")


def template_path() -> Path:
    """Find the template: in the repository's `envoy/`, or in an installed wheel in `standalone/envoy/`."""
    root = Path(__file__).resolve().parents[2]
    # The wheel's place comes first: beside installed packages, `envoy/` is another distribution's.
    for folder in (root / "standalone" / "envoy", root / "envoy"):
        if (path := folder / _TEMPLATE).is_file():
            return path
    raise FileNotFoundError(f"{_TEMPLATE} is neither in standalone/envoy nor in envoy below {root}: the installation is incomplete")


def render_bootstrap(params: BootstrapParams, template: str | None = None) -> str:
    """Return Envoy's configuration as YAML. `template` takes the place of the installed one."""
    values = {
        "gateway_address": params.gateway_address,
        "gateway_port": params.gateway_port,
        "admin_address": params.admin_address,
        "admin_port": params.admin_port,
        "cds_path": str(params.xds_directory / CDS_FILE),
        "rds_path": str(params.xds_directory / RDS_FILE),
        "route_config_name": ROUTE_CONFIG_NAME,
        "trusted_hops": params.trusted_hops,
        "max_body_bytes": params.max_body_bytes,
        "buffer_limit_bytes": params.max_body_bytes + _BUFFER_HEADROOM_BYTES,
        "max_connections": params.max_connections,
        "max_heap_bytes": params.max_heap_bytes,
        "authorization_timeout": _seconds(params.authorization_timeout_ms),
        "inline": params.metering == "inline",
        "shadow": params.metering == "shadow",
        "processing_mode": _PROCESSING_MODES[params.metering],
        "processing_timeout": _seconds(params.processing_timeout_ms),
        "request_headers_timeout": _seconds(params.request_headers_timeout_ms),
        "request_timeout": _seconds(params.request_timeout_ms),
        "stream_idle_timeout": _seconds(params.stream_idle_timeout_ms),
        "max_stream_duration": _seconds(params.max_stream_duration_ms),
        "early_mutations": _early_mutations(),
        "kept_length": _kept_length(),
        "access_log": _access_log(params.access_log_path),
        "local_reply_mappers": local_reply_mappers(params.max_body_bytes),
        "authorization_headers": [{"exact": name} for name in FOR_AUTHORIZATION],
        "processing_headers": [{"exact": name} for name in _PROCESSING_HEADERS],
        "service_clusters": [_service_cluster("extauth", params.extauth), _service_cluster("extproc", params.extproc)],
    }
    text = template_path().read_text() if template is None else template
    # JSON is YAML: values keep their type and nothing in them can become structure.
    return Template(text).substitute({name: json.dumps(value) for name, value in values.items()})


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}s"


def _early_mutations() -> list[Json]:
    prefixes = [{"remove_on_match": {"key_matcher": {"prefix": prefix, "ignore_case": True}}} for prefix in headers.RESERVED_PREFIXES]
    return [*prefixes, {"remove": headers.REQUEST_ID}]


def _kept_length() -> list[Json]:
    length = {"header": {"key": "content-length", "value": f"%RESP({headers.LENGTH})%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return [{"append": length}, {"remove": headers.LENGTH}]


def _access_log(path: str) -> list[Json]:
    if not path:
        return []
    config = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": path,
        "log_format": {"json_format": ACCESS_LOG_LINE},
    }
    return [{"name": "envoy.access_loggers.file", "typed_config": config}]


def _service_cluster(name: str, endpoints: tuple[str, ...]) -> Json:
    addresses = [_address(endpoint) for endpoint in endpoints]
    return {
        "name": name,
        "type": "STATIC" if all(_is_static(endpoint) for endpoint in endpoints) else "STRICT_DNS",
        "connect_timeout": "1s",
        # One HTTP/2 connection goes to one process for its whole life, so calls are spread by load, not in turn.
        "lb_policy": "LEAST_REQUEST",
        # ext_proc holds one request here for each live stream; the default of 1024 would refuse the rest.
        "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_pending_requests": 65_536, "max_requests": 65_536}]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 10_000}},
            }
        },
    }


def _address(endpoint: str) -> Json:
    if endpoint.startswith("unix:"):
        return {"pipe": {"path": endpoint.removeprefix("unix:")}}
    host, _, port = endpoint.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


def _is_static(endpoint: str) -> bool:
    if endpoint.startswith("unix:"):
        return True
    try:
        ipaddress.ip_address(endpoint.rpartition(":")[0].strip("[]"))
    except ValueError:
        return False
    return True
