"""Routes of profile `plain`: the entry that every request meets first, and one HTTPRoute for each model. Pure.

Envoy takes the settings of its filters from the route it selects first, so there must be one before `x-ias-model` is set:
the entry, at the inference paths, whose own answer is 404. Model routes match the same prefixes and that header, and so win
over it when extauth has set it. Other paths have no route, and nobody is asked about them.
"""

from collections.abc import Iterable, Mapping, Sequence

from controlplane.gateway.clusters import has_pool
from controlplane.gateway.ports import GatewayBackend, GatewayRejected, GatewayRoute, GatewayTraffic, ModelProtocol
from controlplane.gateway.request_headers import NOT_FOR_ENGINES
from controlplane.gateway.traffic import traffic_of
from controlplane.kubernetes.profile import GatewayProfile, Listener
from controlplane.kubernetes.render.engines import engine_name
from controlplane.kubernetes.render.manifests import ENVOY_GATEWAY, GATEWAY_API, Json, Manifest, manifest, name_of, named
from controlplane.kubernetes.render.traffic import traffic
from ias import headers

INFERENCE_PATHS = ("/v1", "/v2", "/models")
_ENGINE_PATHS: Mapping[ModelProtocol, Sequence[str]] = {"openai": ("/v1",), "traditional": ("/v1/models", "/v2")}
"""Where engines are asked: extauth writes their paths anew before the route is selected again. None is shorter than the entry's."""
KSERVE_V1: Json = {"type": "RegularExpression", "value": "/v1/models/[^/]+"}
"""A traditional model in KServe's first protocol, where the rest of `/v1` is AI Gateway's."""
MAX_MATCHES = 64
"""Of one rule (Gateway API)."""
MAX_TARGETS = 16
"""Of one rule (Gateway API)."""


def render_filters(profile: GatewayProfile) -> list[Manifest]:
    """Return what routes refer to: answers of their own, and the host name that engines get."""
    filters: dict[str, Json] = {
        "not-found": {"directResponse": {"statusCode": 404}},
        "unavailable": {"directResponse": {"statusCode": 503}},
        "engine-host": {"urlRewrite": {"hostname": {"type": "Backend"}, "appendXForwardedHost": False}},
    }
    return [manifest(profile, "HTTPRouteFilter", named(profile, name), spec) for name, spec in filters.items()]


def below(path: str) -> Json:
    """Return the match of a path and all below it."""
    return {"type": "PathPrefix", "value": path}


def render_entry(profile: GatewayProfile, paths: Sequence[Json]) -> list[Manifest]:
    """Return the entry at these paths, in as many routes as Gateway API's limit of matches makes necessary."""
    entries = []
    for number, start in enumerate(range(0, len(paths), MAX_MATCHES)):
        matches = [{"path": path} for path in paths[start : start + MAX_MATCHES]]
        rule = {"name": "entry", "matches": matches, "filters": [extension(named(profile, "not-found"))]}
        spec = {"parentRefs": parents(profile, profile.listeners), "rules": [rule]}
        entries.append(manifest(profile, "HTTPRoute", named(profile, f"entry-{number}"), spec))
    return entries


def own_paths(routes: Iterable[GatewayRoute]) -> list[str]:
    """Return the paths of publications' own at which requests must reach extauth, beside the inference paths."""
    own = {route.external_path.rstrip("/") for route in routes}
    return sorted(path for path in own if path and not f"{path}/".startswith(tuple(f"{entry}/" for entry in INFERENCE_PATHS)))


def render_model(profile: GatewayProfile, route: GatewayRoute, backends: Mapping[str, GatewayBackend]) -> list[Manifest]:
    """Return the route of a model and, where it has settings of its own, their policy; raises GatewayRejected beyond Envoy Gateway's limits."""
    name = model_name(profile, route)
    model = {"type": "Exact", "name": headers.MODEL, "value": route.model}
    rule: Json = {
        "name": "model",
        "matches": [{"path": path, "headers": [model]} for path in _engine_paths(profile, route.protocol)],
    }
    manifests = []
    if not route.targets:
        rule["filters"] = [extension(named(profile, "unavailable"))]
    else:
        cleaned = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": list(NOT_FOR_ENGINES)}}
        rule["filters"] = [cleaned, extension(named(profile, "engine-host"))]
        rule["backendRefs"] = backend_refs(profile, route)
        if credential := _credential(route, backends):
            # On the engine, where it is a filter of the cluster. On the rule it would be one of the listener, which is switched on by the route
            # that a request meets first: that is the entry, and no engine would ever be shown anything.
            rule["backendRefs"][0]["filters"] = [extension(name)]
            injection = {"credentialInjection": {"overwrite": True, "credential": {"valueRef": {"name": credential}}}}
            manifests.append(manifest(profile, "HTTPRouteFilter", name, injection, model=route.model))
    spec = {"parentRefs": parents(profile, profile.listeners), "rules": [rule]}
    return [*manifests, manifest(profile, "HTTPRoute", name, spec, model=route.model), *own_traffic(profile, route, backends)]


def _engine_paths(profile: GatewayProfile, protocol: ModelProtocol) -> list[Json]:
    if profile.profile == "aigateway" and protocol == "traditional":
        return [KSERVE_V1, below("/v2")]
    return [below(path) for path in _ENGINE_PATHS[protocol]]


def _credential(route: GatewayRoute, backends: Mapping[str, GatewayBackend]) -> str:
    """Return the Secret (`credential`: `Bearer …`) that requests to a model's one engine carry; empty: none."""
    credentials = [backends[target.backend_id].credential for target in route.targets]
    if len(credentials) > 1 and any(credentials):
        raise GatewayRejected(
            f"model '{route.model}' has several backends, and they are shown a credential; for that Envoy Gateway parts them, so that none takes"
            " over when another fails. Give it one backend, such as a Service in front of its engines, or use profile 'aigateway'"
        )
    return credentials[0]


def model_name(profile: GatewayProfile, route: GatewayRoute) -> str:
    """Return the name of a model's route and of its policy."""
    return name_of(profile, "model", route.model)


def own_traffic(profile: GatewayProfile, route: GatewayRoute, backends: Mapping[str, GatewayBackend]) -> list[Manifest]:
    """Return the policy of a model with settings or a pool of its own, on its HTTPRoute."""
    if not route.targets:
        return []
    combined = traffic_of(route, backends)
    if not has_pool(route) and combined == GatewayTraffic():
        return []
    name = model_name(profile, route)
    targets = [{"group": GATEWAY_API, "kind": "HTTPRoute", "name": name}]
    paths = [backends[target.backend_id].health_path for target in route.targets]
    spec = {"targetRefs": targets, **traffic(profile, combined, paths)}
    return [manifest(profile, "BackendTrafficPolicy", name, spec, model=route.model)]


def backend_refs(profile: GatewayProfile, route: GatewayRoute) -> list[Json]:
    """Return the engines of a model by weight; raises GatewayRejected for what Envoy Gateway cannot do."""
    if len(route.targets) > MAX_TARGETS:
        raise GatewayRejected(f"model '{route.model}' has {len(route.targets)} backends; a route of Gateway API takes {MAX_TARGETS}")
    fallbacks = fallbacks_of(route)
    targets = sorted(route.targets, key=lambda target: (target.priority, target.backend_id))
    return [
        {
            "group": ENVOY_GATEWAY,
            "kind": "Backend",
            "name": engine_name(profile, target.backend_id, fallback=target.backend_id in fallbacks),
            "weight": target.weight,
        }
        for target in targets
    ]


def fallbacks_of(route: GatewayRoute) -> frozenset[str]:
    """Return the engines that get requests only as far as the others are down."""
    priorities = sorted({target.priority for target in route.targets})
    if len(priorities) > 2:
        raise GatewayRejected(
            f"model '{route.model}' has backends of {len(priorities)} priorities; Envoy Gateway knows two: the first, and a fallback"
        )
    return frozenset(target.backend_id for target in route.targets if target.priority != priorities[0])


def parents(profile: GatewayProfile, listeners: tuple[Listener, ...]) -> list[Json]:
    """Return the listeners that a route is for."""
    return [{"group": GATEWAY_API, "kind": "Gateway", "name": profile.gateway, "sectionName": listener.name} for listener in listeners]


def extension(name: str) -> Json:
    """Return the filter of a rule that refers to one of `render_filters`."""
    return {"type": "ExtensionRef", "extensionRef": {"group": ENVOY_GATEWAY, "kind": "HTTPRouteFilter", "name": name}}
