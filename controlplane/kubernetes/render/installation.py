"""What a gateway has once: its class, the Gateway with its listeners, the Envoy behind it, and what clients may do. Pure."""

from controlplane.gateway.access_log import ACCESS_LOG_LINE
from controlplane.kubernetes.profile import GatewayProfile, Listener
from controlplane.kubernetes.render.manifests import ENVOY_GATEWAY, Json, Manifest, gateway_ref, manifest, named, seconds
from ias import headers

GATEWAY_CONFIG = "aigateway.envoyproxy.io/gateway-config"
"""The annotation by which a GatewayConfig of AI Gateway is attached."""


def render_installation(profile: GatewayProfile) -> list[Manifest]:
    """Return GatewayClass, Gateway, EnvoyProxy and ClientTrafficPolicy."""
    envoy = named(profile, "envoy")
    gateway = manifest(
        profile,
        "Gateway",
        profile.gateway,
        {
            "gatewayClassName": profile.gateway_class,
            "infrastructure": {"parametersRef": {"group": ENVOY_GATEWAY, "kind": "EnvoyProxy", "name": envoy}},
            "listeners": [
                *(_listener(listener, "HTTPRoute") for listener in profile.listeners),
                *(_listener(listener, "GRPCRoute") for listener in profile.grpc_listeners),
            ],
        },
    )
    if profile.profile == "aigateway":
        gateway["metadata"]["annotations"] = {GATEWAY_CONFIG: profile.gateway}
    return [
        manifest(profile, "GatewayClass", profile.gateway_class, {"controllerName": profile.controller}),
        gateway,
        manifest(profile, "EnvoyProxy", envoy, _envoy(profile)),
        manifest(profile, "ClientTrafficPolicy", named(profile, "clients"), _clients(profile)),
    ]


def _listener(listener: Listener, kind: str) -> Json:
    spec: Json = {
        "name": listener.name,
        "port": listener.port,
        "protocol": "HTTP" if listener.plaintext else "HTTPS",
        # Routes from other namespaces would be behind our policies, and in front of our models.
        "allowedRoutes": {"namespaces": {"from": "Same"}, "kinds": [{"group": "gateway.networking.k8s.io", "kind": kind}]},
    }
    if listener.hostname:
        spec["hostname"] = listener.hostname
    if not listener.plaintext:
        secret: Json = {"group": "", "kind": "Secret", "name": listener.certificate}
        if listener.certificate_namespace:
            secret["namespace"] = listener.certificate_namespace
        spec["tls"] = {"mode": "Terminate", "certificateRefs": [secret]}
    return spec


def _envoy(profile: GatewayProfile) -> Json:
    spec: Json = {
        "telemetry": {
            "accessLog": {
                "settings": [{"format": {"type": "JSON", "json": ACCESS_LOG_LINE}, "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}]}]
            },
            # The request id is random as a whole: the signed context is bound to it.
            "requestID": {"tracing": "Disable"},
        },
        "shutdown": {"drainTimeout": seconds(profile.max_stream_duration_s)},
        # As Envoy Gateway does it anyway; here it must never change. extproc lets nothing pass that extauth has not signed, and AI Gateway,
        # which puts its filter before the first ext_proc, never reads the body of a stranger.
        "filterOrder": [{"name": "envoy.filters.http.ext_proc", "after": "envoy.filters.http.ext_authz"}],
    }
    if profile.on_host:
        spec["provider"] = {"type": "Host", "host": {}}
    elif profile.replicas is not None:
        spec["provider"] = {"type": "Kubernetes", "kubernetes": {"envoyDeployment": {"replicas": profile.replicas}}}
    return spec


def _clients(profile: GatewayProfile) -> Json:
    spec: Json = {
        "targetRefs": [gateway_ref(profile)],
        # One spelling for each path, before any rule looks at it.
        "path": {"escapedSlashesAction": "RejectRequest", "disableMergeSlashes": False},
        "headers": {
            "withUnderscoresAction": "RejectRequest",
            "requestID": "Generate",
            # Only limits of the client's own concern it; extauth tells of them.
            "disableRateLimitHeaders": True,
            "earlyRequestHeaders": {
                "remove": [headers.REQUEST_ID],
                "removeOnMatch": [{"type": "Prefix", "value": prefix} for prefix in headers.RESERVED_PREFIXES],
            },
        },
        "connection": {
            "bufferLimit": profile.buffer_limit,
            "connectionLimit": {"value": profile.max_connections, "maxStreamDuration": seconds(profile.max_stream_duration_s)},
        },
        "timeout": {
            "http": {
                "requestReceivedTimeout": seconds(profile.request_timeout_s),
                "streamIdleTimeout": seconds(profile.stream_idle_timeout_s),
            }
        },
        # Routes of Envoy Gateway upgrade to WebSocket unless the header is not seen.
        "http1": {"ignoredUpgradeTypes": [{"type": "RegularExpression", "value": ".*"}]},
        "http2": {"maxConcurrentStreams": 256, "initialStreamWindowSize": "1Mi", "initialConnectionWindowSize": "16Mi"},
    }
    if any(not listener.plaintext for listener in (*profile.listeners, *profile.grpc_listeners)):
        # Said, because Envoy Gateway takes HTTP/2 away where certificates of two listeners overlap.
        spec["tls"] = {"minVersion": "1.2", "alpnProtocols": ["h2", "http/1.1"]}
    return spec
