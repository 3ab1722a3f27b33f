"""Profile `aigateway`: OpenAI models as routes of Envoy AI Gateway 1.1. Traditional ones stay HTTPRoutes. Pure.

AI Gateway makes an HTTPRoute of each AIGatewayRoute, with a last rule at `/` that answers 404: every OpenAI request meets
that first, so it is the entry, and ours must not be at these paths, or AI Gateway's own filter would never run. A model is
found by two headers together: `x-ias-model`, which extauth sets, and `x-ai-eg-model`, which AI Gateway reads from the
body. Where they disagree there is no route.
"""

from collections.abc import Iterable, Mapping

from controlplane.gateway.ports import GatewayBackend, GatewayRejected, GatewayRoute
from controlplane.gateway.traffic import traffic_of
from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.engines import engine_name
from controlplane.kubernetes.render.manifests import AI_GATEWAY, ENVOY_GATEWAY, Json, Manifest, manifest, name_of, seconds
from controlplane.kubernetes.render.routes import KSERVE_V1, below, model_name, own_traffic, parents
from ias import headers

AI_GATEWAY_MODEL = "x-ai-eg-model"
ENTRY_PATHS = (KSERVE_V1, below("/v2"), below("/models"))
"""Where AI Gateway has no business: traditional models, and single models that are read."""
MAX_TARGETS = 128
"""Of one rule (AI Gateway)."""


def render_config(profile: GatewayProfile) -> list[Manifest]:
    """Return what AI Gateway needs once.

    It names no costs: with them AI Gateway would send streams to engines as it has read them, without what extproc has written.
    """
    return [manifest(profile, "GatewayConfig", profile.gateway, {})]


def render_service_backends(profile: GatewayProfile, backends: Iterable[GatewayBackend]) -> list[Manifest]:
    """Return the AIServiceBackend of each engine and, where it has one, the policy with its credential: a Secret of that name (`apiKey`)."""
    rendered = []
    for backend in backends:
        name = service_backend_name(profile, backend.backend_id)
        reference = {"group": ENVOY_GATEWAY, "kind": "Backend", "name": engine_name(profile, backend.backend_id)}
        rendered.append(manifest(profile, "AIServiceBackend", name, {"schema": {"name": "OpenAI"}, "backendRef": reference}))
        if backend.credential:
            target = {"group": AI_GATEWAY, "kind": "AIServiceBackend", "name": name}
            credential = {"targetRefs": [target], "type": "APIKey", "apiKey": {"secretRef": {"name": backend.credential}}}
            rendered.append(manifest(profile, "BackendSecurityPolicy", name, credential))
    return rendered


def service_backend_name(profile: GatewayProfile, backend_id: str) -> str:
    """Return the name of an engine's AIServiceBackend."""
    return name_of(profile, "ai", backend_id)


def render_ai_model(profile: GatewayProfile, route: GatewayRoute, backends: Mapping[str, GatewayBackend]) -> list[Manifest]:
    """Return the route of an OpenAI model, and its policy where it has settings of its own, on the HTTPRoute that AI Gateway makes."""
    if len(route.targets) > MAX_TARGETS:
        raise GatewayRejected(f"model '{route.model}' has {len(route.targets)} backends; a route of AI Gateway takes {MAX_TARGETS}")
    exactly = [{"type": "Exact", "name": name, "value": route.model} for name in (AI_GATEWAY_MODEL, headers.MODEL)]
    traffic = traffic_of(route, backends)
    rule: Json = {
        "name": "model",
        "matches": [{"headers": exactly}],
        "backendRefs": _targets(profile, route),
        # Said, because AI Gateway's own are 60 s.
        "timeouts": {"request": seconds(traffic.answer_timeout_s or 0)},
        "streamIdleTimeout": seconds(traffic.silence_timeout_s or profile.stream_idle_timeout_s),
    }
    spec = {"parentRefs": parents(profile, profile.listeners), "rules": [rule]}
    name = model_name(profile, route)
    return [manifest(profile, "AIGatewayRoute", name, spec, model=route.model), *own_traffic(profile, route, backends)]


def _targets(profile: GatewayProfile, route: GatewayRoute) -> list[Json]:
    ranks = {priority: rank for rank, priority in enumerate(sorted({target.priority for target in route.targets}))}
    targets = sorted(route.targets, key=lambda target: (target.priority, target.backend_id))
    return [
        {
            "name": service_backend_name(profile, target.backend_id),
            "weight": target.weight,
            "priority": ranks[target.priority],
            "headerMutation": {"remove": [headers.MODEL]},
        }
        for target in targets
    ]
