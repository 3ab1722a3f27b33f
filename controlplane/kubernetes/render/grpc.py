"""gRPC inference of traditional models, on listeners of its own. Pure.

It is the same in both profiles: AI Gateway knows no gRPC. As on the other listeners there is an entry that every call meets
first, and a model's route wins over it when extauth has set `x-ias-model`. Only calls of one message have routes: of a
stream Envoy would wait for the end before it asks extauth.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from controlplane.gateway.ports import GatewayBackend, GatewayRoute
from controlplane.gateway.request_headers import NOT_FOR_ENGINES
from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.manifests import ENVOY_GATEWAY, Json, Manifest, manifest, name_of, named
from controlplane.kubernetes.render.routes import extension, fallbacks_of, model_name, parents
from controlplane.kubernetes.render.services import address_of
from ias import headers

SERVICE = "inference.GRPCInferenceService"
METHODS = ("ModelInfer", "ModelMetadata", "ModelReady")
_CALLS: list[Json] = [{"method": {"type": "Exact", "service": SERVICE, "method": method}} for method in METHODS]


def render_grpc_entry(profile: GatewayProfile) -> list[Manifest]:
    """Return the entry of the gRPC listeners; nothing where there are none."""
    if not profile.grpc_listeners:
        return []
    rule = {"name": "entry", "matches": _CALLS, "filters": [extension(named(profile, "not-found"))]}
    return [_route(profile, named(profile, "entry-grpc"), rule)]


def render_grpc_model(profile: GatewayProfile, route: GatewayRoute, backends: Mapping[str, GatewayBackend]) -> list[Manifest]:
    """Return the GRPCRoute of a traditional model, and the Backends of its engines' other port."""
    if route.protocol != "traditional" or not route.targets or not profile.grpc_listeners:
        return []
    fallbacks = fallbacks_of(route)
    names = {target.backend_id: name_of(profile, "grpc", f"{route.model}/{target.backend_id}") for target in route.targets}
    model = [{"type": "Exact", "name": headers.MODEL, "value": route.model}]
    rule = {
        "name": "model",
        "matches": [{**call, "headers": model} for call in _CALLS],
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": list(NOT_FOR_ENGINES)}}],
        "backendRefs": [
            {"group": ENVOY_GATEWAY, "kind": "Backend", "name": names[target.backend_id], "weight": target.weight} for target in sorted(route.targets)
        ],
    }
    engines = [
        manifest(profile, "Backend", name, _engine(profile, backends[backend_id], backend_id in fallbacks)) for backend_id, name in names.items()
    ]
    return [_route(profile, f"{model_name(profile, route)}-grpc", rule, model=route.model), *engines]


def _route(profile: GatewayProfile, name: str, rule: Json, model: str = "") -> Manifest:
    spec = {"parentRefs": parents(profile, profile.grpc_listeners), "rules": [rule]}
    return manifest(profile, "GRPCRoute", name, spec, model=model)


def _engine(profile: GatewayProfile, backend: GatewayBackend, is_fallback: bool) -> Json:
    spec: Json = {"endpoints": [address_of(urlsplit(backend.base_url).hostname or "", profile.engine_grpc_port)]}
    return {**spec, "fallback": True} if is_fallback else spec
