"""What no resource of Envoy Gateway can say, as EnvoyPatchPolicies on what it makes of them. Pure.

Nothing here changes when a model is published: a listener that changes drains its connections.
"""

from controlplane.gateway.local_replies import local_reply_mappers
from controlplane.kubernetes.profile import GatewayProfile, GlobalLimit, Listener
from controlplane.kubernetes.render.manifests import Json, Manifest, gateway_ref, manifest, named
from ias import headers

_LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
_CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
_CONNECTIONS = "$..filters[?(@.name=='envoy.filters.network.http_connection_manager')].typed_config"
_KEPT_LENGTH: Json = {
    # An answer that passes through extproc has lost its length in Envoy; extproc says what it was. First here is last for answers.
    "name": "ias.kept_length",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {
            "response_mutations": [
                {
                    "append": {
                        "header": {"key": "content-length", "value": f"%RESP({headers.LENGTH})%"},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }
                },
                {"remove": headers.LENGTH},
            ]
        },
    },
}


def render_patches(profile: GatewayProfile) -> list[Manifest]:
    """Return the EnvoyPatchPolicies."""
    http, grpc = _xds_listeners(profile, profile.listeners), _xds_listeners(profile, profile.grpc_listeners)
    patches = [patch for name in (*http, *grpc) for patch in (*_connections(profile, name), _body(name))]
    # Clients of gRPC get Envoy's own texts: our bodies would be JSON in `grpc-message`.
    patches += [_set(name, _CONNECTIONS, "/local_reply_config", {"mappers": local_reply_mappers(profile.max_body_bytes)}) for name in http]
    policies = [_policy(profile, "listeners", patches)]
    if profile.global_limit is not None:
        policies.append(_policy(profile, "ratelimit", _rate_limit_service(profile, profile.global_limit)))
    return policies


def _policy(profile: GatewayProfile, name: str, patches: list[Json]) -> Manifest:
    spec = {"targetRef": gateway_ref(profile), "type": "JSONPatch", "jsonPatches": patches}
    return manifest(profile, "EnvoyPatchPolicy", named(profile, name), spec)


def _xds_listeners(profile: GatewayProfile, listeners: tuple[Listener, ...]) -> list[str]:
    """Envoy Gateway makes one listener of Envoy for each port, and names it after the first of ours on it."""
    first: dict[int, str] = {}
    for listener in listeners:
        first.setdefault(listener.port, listener.name)
    return [f"{profile.namespace}/{profile.gateway}/{name}" for name in first.values()]


def _connections(profile: GatewayProfile, listener: str) -> list[Json]:
    return [
        _set(listener, _CONNECTIONS, "/always_set_request_id_in_response", True),
        # The policy's own way to count hops leaves out `x-envoy-external-address`, which is Envoy's word for the client's address.
        _set(listener, _CONNECTIONS, "/xff_num_trusted_hops", profile.trusted_hops),
        _set(listener, _CONNECTIONS, "/request_headers_timeout", f"{profile.request_headers_timeout_s}s"),
        _set(listener, _CONNECTIONS, "/common_http_protocol_options/max_headers_count", 100),
        _set(listener, _CONNECTIONS, "/http_filters/0", _KEPT_LENGTH),
    ]


def _body(listener: str) -> Json:
    """Bodies are bytes: as text, Envoy would send extauth another body than the engine gets."""
    return _set(listener, "$..typed_config.with_request_body", "/pack_as_bytes", True)


def _set(listener: str, where: str, path: str, value: object) -> Json:
    return {"type": _LISTENER, "name": listener, "operation": {"op": "add", "jsonPath": where, "path": path, "value": value}}


def _rate_limit_service(profile: GatewayProfile, limit: GlobalLimit) -> list[Json]:
    """Envoy Gateway's own address of a Rate Limit Service cannot be chosen; ours takes its place, without mutual TLS."""
    endpoint = limit.service
    host = f"{endpoint.service}.{endpoint.namespace or profile.namespace}.svc.cluster.local" if endpoint.service else endpoint.host
    address = {"pipe": {"path": endpoint.unix}} if endpoint.unix else {"socket_address": {"address": host, "port_value": endpoint.port}}
    where = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address"
    return [
        {"type": _CLUSTER, "name": "ratelimit_cluster", "operation": {"op": "replace", "path": where, "value": address}},
        {"type": _CLUSTER, "name": "ratelimit_cluster", "operation": {"op": "remove", "path": "/transport_socket"}},
    ]
