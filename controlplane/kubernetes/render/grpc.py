"""gRPC inference of traditional models, on listeners of its own. Pure.

It is the same in both profiles: AI Gateway knows no gRPC. As on the other listeners there is an entry that every request
meets first, and a model's route wins over it when extauth has set `x-ias-model`.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from controlplane.gateway.ports import GatewayBackend, GatewayRoute
from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.manifests import ENVOY_GATEWAY, Json, Manifest, manifest, name_of, named
from controlplane.kubernetes.render.routes import REMOVED, extension, fallbacks_of, model_name, parents
from controlplane.kubernetes.render.services import address_of
from ias import headers

SERVICE = "inference.GRPCInferenceService"
_ON_SERVICE: Json = {"method": {"type": "Exact", "service": SERVICE}}


def render_grpc_entry(profile: GatewayProfile) -> list[Manifest]:
    """Return the entry of the gRPC listeners; nothing where there are none."""
    if not profile.grpc_listeners:
        return []
    rule = {"name": "entry", "matches": [_ON_SERVICE], "filters": [extension(named(profile, "not-found"))]}
    return [_route(profile, named(profile, "entry-grpc"), rule)]


def render_grpc_model(profile: GatewayProfile, route: GatewayRoute, backends: Mapping[str, GatewayBackend]) -> list[Manifest]:
    """Return the GRPCRoute of a traditional model with the Backends of its engines, as far as they answer gRPC."""
    targets = [target for target in sorted(route.targets) if backends[target.backend_id].grpc_port is not None]
    if route.protocol != "traditional" or not targets or not profile.grpc_listeners:
        return []
    fallbacks = fallbacks_of(route)
    names = {target.backend_id: name_of(profile, "grpc", f"{route.model}/{target.backend_id}") for target in targets}
    rule = {
        "name": "model",
        "matches": [{**_ON_SERVICE, "headers": [{"type": "Exact", "name": headers.MODEL, "value": route.model}]}],
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": list(REMOVED)}}],
        "backendRefs": [{"group": ENVOY_GATEWAY, "kind": "Backend", "name": names[target.backend_id], "weight": target.weight} for target in targets],
    }
    engines = [manifest(profile, "Backend", names[engine], _engine(backends[engine], engine in fallbacks)) for engine in names]
    return [_route(profile, f"{model_name(profile, route)}-grpc", rule, model=route.model), *engines]


def _route(profile: GatewayProfile, name: str, rule: Json, model: str = "") -> Manifest:
    spec = {"parentRefs": parents(profile, profile.grpc_listeners), "rules": [rule]}
    return manifest(profile, "GRPCRoute", name, spec, model=model)


def _engine(backend: GatewayBackend, is_fallback: bool) -> Json:
    spec: Json = {"endpoints": [address_of(urlsplit(backend.base_url).hostname or "", backend.grpc_port or 0)]}
    return {**spec, "fallback": True} if is_fallback else spec
