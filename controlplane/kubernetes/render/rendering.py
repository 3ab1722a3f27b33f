"""The whole: a gateway's state and an installation's profile become manifests. Pure."""

from controlplane.gateway.ports import GatewayRejected, GatewayState
from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.engines import render_engines
from controlplane.kubernetes.render.grants import render_grants
from controlplane.kubernetes.render.installation import render_installation
from controlplane.kubernetes.render.manifests import Manifest, ordered
from controlplane.kubernetes.render.patches import render_patches
from controlplane.kubernetes.render.policies import render_policies
from controlplane.kubernetes.render.routes import entry_paths, fallbacks_of, render_entry, render_filters, render_model
from controlplane.kubernetes.render.services import render_services


def render(state: GatewayState, profile: GatewayProfile) -> tuple[Manifest, ...]:
    """Return everything that a gateway needs, ordered by (apiVersion, kind, namespace, name); equal inputs give equal output.

    Raises:
        GatewayRejected: the state contradicts itself, or asks for what Envoy Gateway cannot do.
    """
    _check(state)
    backends = {backend.backend_id: backend for backend in state.backends}
    fallbacks = frozenset[str]().union(*(fallbacks_of(route) for route in state.routes))
    return ordered(
        [
            *render_installation(profile),
            *render_services(profile),
            *render_policies(profile),
            *render_patches(profile),
            *render_grants(profile),
            *render_engines(profile, state.backends, fallbacks),
            *render_filters(profile),
            *render_entry(profile, entry_paths(state.routes)),
            *(rendered for route in state.routes for rendered in render_model(profile, route, backends)),
        ]
    )


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
