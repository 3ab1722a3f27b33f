"""A stand-in for Envoy AI Gateway, whose controller cannot be built here. What passes with it says nothing about AI Gateway itself.

It does by hand what AI Gateway 1.1 was seen to do with an AIGatewayRoute: an HTTPRoute of the same name, with a last rule at `/`
that answers 404; an ext_proc filter in front of the first other one, off but where a request's first route is one of these,
that sets `x-ai-eg-model` from the body and has the route selected anew.
"""

import json
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from protos.base_pb2 import HeaderValue, HeaderValueOption
from protos.ext_proc_pb2 import BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ProcessingRequest, ProcessingResponse

Json = dict[str, Any]

FILTER = "envoy.filters.http.ext_proc/aigateway"
_CLUSTER = "ai-gateway-stand-in"
_EXT_PROC = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"
_ON: Json = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}


@dataclass
class StandIn:
    """The processor: what it read from bodies, in order."""

    port: int = 0
    models: list[str] = field(default_factory=list)

    def process(self, messages: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for message in messages:
            request = ProcessingRequest.FromString(message)
            if request.WhichOneof("request") == "request_headers":
                yield ProcessingResponse(request_headers=HeadersResponse(response=CommonResponse())).SerializeToString()
            else:
                model = str(json.loads(request.request_body.body)["model"])
                self.models.append(model)
                header = HeaderValueOption(header=HeaderValue(key="x-ai-eg-model", raw_value=model.encode()))
                told = CommonResponse(header_mutation=HeaderMutation(set_headers=[header]), clear_route_cache=True)
                yield ProcessingResponse(request_body=BodyResponse(response=told)).SerializeToString()


@contextmanager
def running_stand_in() -> Iterator[StandIn]:
    """Serve on a port of its own."""
    stand_in = StandIn()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    handler = grpc.stream_stream_rpc_method_handler(stand_in.process)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("envoy.service.ext_proc.v3.ExternalProcessor", {"Process": handler}),))
    stand_in.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield stand_in
    finally:
        server.stop(None).wait()


def generated(manifests: list[Json], listener: str, stand_in: StandIn) -> list[Json]:
    """What AI Gateway's controller would add to the cluster and to Envoy for the AIGatewayRoutes among `manifests`."""
    routes = [manifest for manifest in manifests if manifest["kind"] == "AIGatewayRoute"]
    backends = {(manifest["metadata"]["name"]): manifest["spec"]["backendRef"] for manifest in manifests if manifest["kind"] == "AIServiceBackend"}
    made = [document for route in routes for document in _http_route(route, backends)]
    return [*made, _patches(routes, listener, stand_in)] if routes else []


def _http_route(route: Json, backends: dict[str, Json]) -> list[Json]:
    namespace, name = route["metadata"]["namespace"], route["metadata"]["name"]
    rules: list[Json] = [
        {
            "name": rule["name"],
            "matches": rule["matches"],
            "backendRefs": [{**backends[ref["name"]], "weight": ref["weight"], "filters": _mutations(ref)} for ref in rule["backendRefs"]],
            "timeouts": rule["timeouts"],
        }
        for rule in route["spec"]["rules"]
    ]
    answer = {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": f"ai-eg-route-not-found-response-{name}"}
    rules.append({"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "filters": [{"type": "ExtensionRef", "extensionRef": answer}]})
    marks = {"gateway.envoyproxy.io/ai-gateway-generated": "true"}
    return [
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "HTTPRouteFilter",
            "metadata": {"name": answer["name"], "namespace": namespace},
            "spec": {"directResponse": {"statusCode": 404}},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": namespace, "annotations": marks},
            "spec": {"parentRefs": route["spec"]["parentRefs"], "rules": rules},
        },
    ]


def _mutations(ref: Json) -> list[Json]:
    """AI Gateway's own filter does this, when the engine is chosen."""
    return [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ref["headerMutation"]["remove"]}}]


def _patches(routes: list[Json], listener: str, stand_in: StandIn) -> Json:
    """AI Gateway does this through Envoy Gateway's hooks; after our own patches, as those come first there too."""
    namespace = routes[0]["metadata"]["namespace"]
    headers_and_body = {"request_header_mode": "SEND", "request_body_mode": "BUFFERED", "response_header_mode": "SKIP"}
    processor = {
        "@type": _EXT_PROC,
        "grpc_service": {"envoy_grpc": {"cluster_name": _CLUSTER}},
        "processing_mode": headers_and_body,
        "message_timeout": "10s",
    }
    connections = "$..filters[?(@.name=='envoy.filters.network.http_connection_manager')].typed_config"
    names = [f"httproute/{namespace}/{route['metadata']['name']}/rule/{rule}/match/0/*" for route in routes for rule in (0, 1)]
    patches = [
        ("config.cluster.v3.Cluster", _CLUSTER, {"op": "add", "path": "", "value": _cluster(stand_in.port)}),
        # Behind ext_authz, which stands behind the filter that our own patch adds.
        (
            "config.listener.v3.Listener",
            listener,
            {"op": "add", "jsonPath": connections, "path": "/http_filters/2", "value": {"name": FILTER, "disabled": True, "typed_config": processor}},
        ),
        *(("config.route.v3.RouteConfiguration", listener, _enabled_on(name)) for name in names),
    ]
    spec = {
        "targetRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "ias"},
        "type": "JSONPatch",
        "priority": 10,
        "jsonPatches": [{"type": f"type.googleapis.com/envoy.{kind}", "name": name, "operation": operation} for kind, name, operation in patches],
    }
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyPatchPolicy",
        "metadata": {"name": "ai-gateway-stand-in", "namespace": namespace},
        "spec": spec,
    }


def _enabled_on(route: str) -> Json:
    where = f"$..routes[?(@.name=='{route}')].typed_per_filter_config"
    return {"op": "add", "jsonPath": where, "path": f"/{FILTER.replace('/', '~1')}", "value": _ON}


def _cluster(port: int) -> Json:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    protocol = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": _CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": _CLUSTER, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
    }
