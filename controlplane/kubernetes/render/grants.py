"""ReferenceGrants: permission for what the gateway refers to in other namespaces. Pure."""

from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.manifests import ENVOY_GATEWAY, GATEWAY_API, Json, Manifest, manifest, named


def render_grants(profile: GatewayProfile) -> list[Manifest]:
    """Return a grant in each foreign namespace, for the very objects that are referred to."""
    grants: dict[str, tuple[set[tuple[str, str]], set[tuple[str, str]]]] = {}

    def allow(namespace: str, referrer: tuple[str, str], kind: str, name: str) -> None:
        if namespace and namespace != profile.namespace:
            referrers, objects = grants.setdefault(namespace, (set(), set()))
            referrers.add(referrer)
            objects.add((kind, name))

    for listener in (*profile.listeners, *profile.grpc_listeners):
        if listener.certificate:
            allow(listener.certificate_namespace, (GATEWAY_API, "Gateway"), "Secret", listener.certificate)
    for kind, endpoint in (("SecurityPolicy", profile.extauth), ("EnvoyExtensionPolicy", profile.extproc)):
        if endpoint.service:
            allow(endpoint.namespace, (ENVOY_GATEWAY, kind), "Service", endpoint.service)
    return [
        manifest(profile, "ReferenceGrant", named(profile, "references"), _spec(profile, *parts), namespace=namespace)
        for namespace, parts in grants.items()
    ]


def _spec(profile: GatewayProfile, referrers: set[tuple[str, str]], objects: set[tuple[str, str]]) -> Json:
    return {
        "from": [{"group": group, "kind": kind, "namespace": profile.namespace} for group, kind in sorted(referrers)],
        "to": [{"group": "", "kind": kind, "name": name} for kind, name in sorted(objects)],
    }
