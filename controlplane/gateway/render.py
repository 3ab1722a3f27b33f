"""Turns a desired state into Envoy's clusters (CDS) and routes (RDS). Pure: equal states give equal bytes.

Model lookup is one hash lookup whatever the number of models: the virtual host's matcher tree maps `x-ias-model`
exactly to a route. Only extauth sets that header (the edge removes it from clients), so a request that extauth did not
pass falls through to the routes below it, none of which leads to an engine.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from controlplane.gateway.clusters import GatewayFiles, cluster_name, engine_cluster, has_pool, pool_cluster
from controlplane.gateway.ports import GatewayRejected, GatewayRoute, GatewayState, GatewayTraffic
from controlplane.gateway.request_headers import NOT_FOR_ENGINES
from controlplane.gateway.traffic import traffic_of
from ias import headers

Json = dict[str, Any]

CDS_FILE = "cds.json"
RDS_FILE = "rds.json"
ROUTE_CONFIG_NAME = "models"
INFERENCE_PREFIXES = ("/v1/", "/v2/", "/models/")
"""Paths that reach extauth, beside `/v2` and those of publications. Everything else is unknown here, without a question to anyone."""

_TYPE = "type.googleapis.com/envoy."
_ROUTE = _TYPE + "config.route.v3.Route"
_encode = msgspec.json.Encoder(order="deterministic").encode
_RETRY: Json = {"retry_on": "connect-failure,refused-stream", "num_retries": 1}
"""Only what never reached an engine is tried again."""
_MAX_RETRIES = 3
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


def without_engines(state: GatewayState, backend_ids: Collection[str]) -> GatewayState:
    """Return the state in which nothing goes to these engines; a model with no other one answers 503."""
    return GatewayState(
        tuple(backend for backend in state.backends if backend.backend_id not in backend_ids),
        tuple(replace(route, targets=tuple(target for target in route.targets if target.backend_id not in backend_ids)) for route in state.routes),
    )


def render(state: GatewayState, files: GatewayFiles) -> tuple[Resources, Resources]:
    """Return clusters and routes.

    Raises:
        GatewayRejected: a model has two routes, or its backend is not in the state.
    """
    backends = {backend.backend_id: backend for backend in state.backends}
    if len(backends) != len(state.backends):
        raise GatewayRejected("two backends have the same id")
    clusters = [engine_cluster(backend, files) for backend in state.backends]
    models: dict[str, Json] = {}
    for route in state.routes:
        if missing := [target.backend_id for target in route.targets if target.backend_id not in backends]:
            raise GatewayRejected(f"model '{route.model}' goes to backend '{missing[0]}', which is not there")
        if route.model in models:
            raise GatewayRejected(f"model '{route.model}' has two routes")
        if not route.targets:
            models[route.model] = {"@type": _ROUTE, "name": route.model, "match": {"prefix": "/"}, **_answer(503)}
        elif has_pool(route):
            pool = pool_cluster(route, backends, files)
            clusters.append(pool)
            models[route.model] = _model_route(str(pool["name"]), route, traffic_of(route, backends))
        else:
            models[route.model] = _model_route(cluster_name(backends[route.targets[0].backend_id]), route, traffic_of(route, backends))
    return resources(clusters), resources([_route_configuration(models, _places(state.routes))])


def _places(routes: Iterable[GatewayRoute]) -> dict[str, bool]:
    """Prefixes of paths with rules of their own, and whether a credential is needed there.

    A prefix may match more than is meant: then extauth refuses what Envoy would have.
    """
    places: dict[str, bool] = {}
    for route in routes:
        prefixes = [] if route.requires_key else [f"/models/{route.model}/", f"/v1/models/{route.model}", f"/v2/models/{route.model}"]
        if route.external_path and not (route.requires_key and route.external_path.startswith(INFERENCE_PREFIXES)):
            prefixes.append(route.external_path)
        for prefix in prefixes:
            places[prefix] = places.get(prefix, True) and route.requires_key
    return places


def _route_configuration(models: dict[str, Json], places: dict[str, bool]) -> Json:
    host: Json = {
        "name": "gateway",
        "domains": ["*"],
        "retry_policy": _RETRY,
    }
    if models:
        rest = _routes(_fall_through())
        if places:
            entries = {prefix: _routes(_entry(requires_key)) for prefix, requires_key in places.items()}
            rest = {"matcher": {"matcher_tree": {"input": _input("path", ":path"), "prefix_match_map": {"map": entries}}, "on_no_match": rest}}
        exactly = {"map": {model: _action(route) for model, route in models.items()}}
        host["matcher"] = {"matcher_tree": {"input": _input("model", headers.MODEL), "exact_match_map": exactly}, "on_no_match": rest}
    else:
        host["routes"] = _fall_through()  # Envoy refuses an empty map
    return {
        "@type": _TYPE + "config.route.v3.RouteConfiguration",
        "name": ROUTE_CONFIG_NAME,
        "request_headers_to_remove": list(NOT_FOR_ENGINES),
        "response_headers_to_remove": ["server", headers.LENGTH],
        "virtual_hosts": [host],
    }


def _fall_through() -> list[Json]:
    """Routes of requests that carry no known model. The one that a request meets first also decides about its filters."""
    return [
        *_before_entry(),
        *(route for prefix in INFERENCE_PREFIXES for route in _entry_at({"prefix": prefix})),
        *_entry_at({"path": "/v2"}),
        {"name": "unknown-url", "match": {"prefix": "/"}, **_answer(404), "typed_per_filter_config": _DISABLED},
    ]


def _entry(requires_key: bool) -> list[Json]:
    """The same at a place of a publication's own."""
    return [*_before_entry(), *_entry_at({"prefix": "/"}, requires_key)]


def _before_entry() -> list[Json]:
    return [
        # CONNECT has no path and no end: extauth would wait for its body.
        {"name": "connect", "match": {"connect_matcher": {}}, **_answer(403), "typed_per_filter_config": _DISABLED},
        # extauth passed it, but the model is not in these routes (yet, or no more); extproc still records the request.
        {"name": "unknown-model", "match": {"prefix": "/", "headers": [{"name": headers.MODEL, "present_match": True}]}, **_answer(404)},
    ]


def _entry_at(match: Json, requires_key: bool = True) -> list[Json]:
    entry = {"name": "entry", "match": match, **_answer(404)}
    if not requires_key:
        return [entry]
    # No credential: refused before a byte of body is buffered.
    without_credential = [{"name": name, "present_match": False} for name in headers.CREDENTIALS]
    refused = {"name": "no-credential", "match": {**match, "headers": without_credential}, **_answer(401), "typed_per_filter_config": _DISABLED}
    return [refused, entry]


def _input(name: str, header: str) -> Json:
    return {"name": name, "typed_config": {"@type": _TYPE + "type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": header}}


def _routes(routes: list[Json]) -> Json:
    return _action({"@type": _TYPE + "config.route.v3.RouteList", "routes": routes})


def _answer(status: int) -> Json:
    return {"direct_response": {"status": status}}


def _model_route(cluster: str, route: GatewayRoute, traffic: GatewayTraffic) -> Json:
    # No timeout for the whole answer unless the model has one: the listener ends idle and endless streams.
    action: Json = {"cluster": cluster, "timeout": f"{traffic.answer_timeout_s or 0}s", "auto_host_rewrite": True}
    if len(route.targets) > 1 or traffic.silence_timeout_s is not None:
        action["retry_policy"] = _retries(route, traffic)
    return {"@type": _ROUTE, "name": route.model, "match": {"prefix": "/"}, "route": action}


def _retries(route: GatewayRoute, traffic: GatewayTraffic) -> Json:
    """Other engines of the model are tried, those of the next priority too, before health checks have noticed anything."""
    policy: Json = {**_RETRY, "num_retries": min(len(route.targets), _MAX_RETRIES)}
    if len(route.targets) > 1:
        policy["host_selection_retry_max_attempts"] = 8
        policy["retry_host_predicate"] = [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": _TYPE + "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ]
        policy["retry_priority"] = {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {"@type": _TYPE + "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", "update_frequency": 2},
        }
    if traffic.silence_timeout_s is not None:
        policy["per_try_idle_timeout"] = f"{traffic.silence_timeout_s}s"
    return policy


def _action(typed_config: Json) -> Json:
    return {"action": {"name": "route", "typed_config": typed_config}}
