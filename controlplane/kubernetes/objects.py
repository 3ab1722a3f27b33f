"""Objects of Kubernetes: what makes two the same, where the API has them, in which order they are written. Pure."""

from typing import NamedTuple

from controlplane.kubernetes.labels import MODEL, SERVICE
from controlplane.kubernetes.render import manifests
from controlplane.kubernetes.render.manifests import CLUSTER_SCOPED, KINDS, Json, Manifest

__all__ = [
    "ABROAD",
    "CLUSTER_SCOPED",
    "KINDS",
    "Json",
    "Key",
    "Manifest",
    "group_of",
    "is_for_routes",
    "key_of",
    "model_of",
    "path_of",
    "plural",
    "rank_of",
]

ABROAD = frozenset({"ReferenceGrant"})
"""What we write in other namespaces than the gateway's own."""
_ROUTES = frozenset({"HTTPRoute", "GRPCRoute", "AIGatewayRoute"})
_FOR_ROUTES = frozenset({"Backend", "AIServiceBackend", "BackendSecurityPolicy", "BackendTLSPolicy", "HTTPRouteFilter"})


class Key(NamedTuple):
    """What makes objects the same."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


def key_of(manifest: Manifest) -> Key:
    """Return an object's key."""
    return Key(*manifests.key_of(manifest))


def plural(kind: str) -> str:
    """Return the name of a kind in paths, by the rule that all kinds of ours follow (tests ask the real API server)."""
    name = kind.lower()
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith("s") else f"{name}s"


def group_of(api_version: str) -> str:
    """Return the API group; empty for the core's."""
    return api_version.rpartition("/")[0]


def path_of(api_version: str, kind: str, namespace: str = "", name: str = "") -> str:
    """Return the path of an object, or without a name of all objects of a kind."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{place}/{plural(kind)}{f'/{name}' if name else ''}"


def model_of(manifest: Manifest) -> str:
    """Return the model whose own an object is; empty: it is the gateway's, or an engine that models share."""
    model: str = (manifest["metadata"].get("annotations") or {}).get(MODEL, "")
    return model


def is_for_routes(manifest: Manifest) -> bool:
    """Whether only routes refer to an object: an engine, its credential, an answer."""
    return manifest["kind"] in _FOR_ROUTES and SERVICE not in (manifest["metadata"].get("annotations") or {})


def rank_of(manifest: Manifest) -> int:
    """Return when an object is written: the gateway, policies and what they refer to (0), what routes refer to (1), routes with their policies (2).

    Deleted is in reverse. A policy of one model is judged together with the route that it targets, and keeps no other model waiting. Patches
    change what Envoy Gateway makes of routes: without one there is nothing to patch.
    """
    if manifest["kind"] in _ROUTES or manifest["kind"] == "EnvoyPatchPolicy":
        return 2
    if is_for_routes(manifest):
        return 1
    return 2 if model_of(manifest) else 0
