"""The whole: a gateway's state and an installation's profile become manifests. Pure."""

from controlplane.gateway.ports import GatewayRejected, GatewayRoute, GatewayState
from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.aigateway import ENTRY_PATHS, render_ai_model, render_config, render_service_backends
from controlplane.kubernetes.render.engines import render_engines
from controlplane.kubernetes.render.grants import render_grants
from controlplane.kubernetes.render.grpc import render_grpc_entry, render_grpc_model
from controlplane.kubernetes.render.installation import render_installation
from controlplane.kubernetes.render.manifests import Json, Manifest, ordered
from controlplane.kubernetes.render.patches import render_patches
from controlplane.kubernetes.render.policies import render_policies
from controlplane.kubernetes.render.routes import INFERENCE_PATHS, below, fallbacks_of, own_paths, render_entry, render_filters, render_model
from controlplane.kubernetes.render.services import render_services


def render(state: GatewayState, profile: GatewayProfile) -> tuple[Manifest, ...]:
    """Return everything that a gateway needs, ordered by (apiVersion, kind, namespace, name); equal inputs give equal output.

    Raises:
        GatewayRejected: the state contradicts itself, or asks for what Envoy Gateway cannot do.
    """
    _check(state)
    backends = {backend.backend_id: backend for backend in state.backends}
    by_ai = [route for route in state.routes if _is_for_ai_gateway(profile, route)]
    plain = [route for route in state.routes if not _is_for_ai_gateway(profile, route)]
    fallbacks = frozenset[str]().union(*(fallbacks_of(route) for route in plain))
    return ordered(
        [
            *render_installation(profile),
            *render_services(profile),
            *render_policies(profile),
            *render_patches(profile),
            *render_grants(profile),
            *render_engines(profile, state.backends, fallbacks),
            *render_filters(profile),
            *render_entry(profile, _entries(by_ai, plain)),
            *render_grpc_entry(profile),
            *(rendered for route in plain for rendered in render_model(profile, route, backends)),
            *(rendered for route in plain for rendered in render_grpc_model(profile, route, backends)),
            *(render_config(profile) if profile.profile == "aigateway" else ()),
            *render_service_backends(profile, [backends[backend_id] for backend_id in _engines_of(by_ai)]),
            *(rendered for route in by_ai for rendered in render_ai_model(profile, route, backends)),
        ]
    )


def _is_for_ai_gateway(profile: GatewayProfile, route: GatewayRoute) -> bool:
    return profile.profile == "aigateway" and route.protocol == "openai" and bool(route.targets)


def _entries(by_ai: list[GatewayRoute], plain: list[GatewayRoute]) -> list[Json]:
    """AI Gateway's routes bring an entry of their own, which must be the first at every path that is not here."""
    ours = ENTRY_PATHS if by_ai else tuple(below(path) for path in INFERENCE_PATHS)
    return [*ours, *(below(path) for path in own_paths(plain))]


def _engines_of(routes: list[GatewayRoute]) -> list[str]:
    return sorted({target.backend_id for route in routes for target in route.targets})


def _check(state: GatewayState) -> None:
    known = {backend.backend_id for backend in state.backends}
    if len(known) != len(state.backends):
        raise GatewayRejected("two backends have the same id")
    models: set[str] = set()
    for route in state.routes:
        if missing := [target.backend_id for target in route.targets if target.backend_id not in known]:
            raise GatewayRejected(f"model '{route.model}' goes to backend '{missing[0]}', which is not there")
        if route.model in models:
            raise GatewayRejected(f"model '{route.model}' has two routes")
        models.add(route.model)
