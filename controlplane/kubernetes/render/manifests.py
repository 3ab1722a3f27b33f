"""What all manifests have in common: kinds and versions, metadata, names, references, order. Pure."""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from controlplane.kubernetes.labels import MODEL, labels_of
from controlplane.kubernetes.profile import GatewayProfile

Json = dict[str, Any]
Manifest = dict[str, Any]

GATEWAY_API = "gateway.networking.k8s.io"
ENVOY_GATEWAY = "gateway.envoyproxy.io"
AI_GATEWAY = "aigateway.envoyproxy.io"

_API_VERSIONS = {
    **dict.fromkeys(("GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute"), f"{GATEWAY_API}/v1"),
    "ReferenceGrant": f"{GATEWAY_API}/v1beta1",
    **dict.fromkeys(
        (
            "Backend",
            "BackendTrafficPolicy",
            "ClientTrafficPolicy",
            "EnvoyExtensionPolicy",
            "EnvoyPatchPolicy",
            "EnvoyProxy",
            "HTTPRouteFilter",
            "SecurityPolicy",
        ),
        f"{ENVOY_GATEWAY}/v1alpha1",
    ),
    **dict.fromkeys(("AIGatewayRoute", "AIServiceBackend", "BackendSecurityPolicy", "GatewayConfig"), f"{AI_GATEWAY}/v1beta1"),
}
KINDS = tuple((version, kind) for kind, version in _API_VERSIONS.items())
"""Every (apiVersion, kind) that rendering may write: what has to be looked through for garbage."""
CLUSTER_SCOPED = frozenset({"GatewayClass"})
_SLUG = re.compile(r"[^a-z0-9]+")
_SLUG_LENGTH = 32


def manifest(profile: GatewayProfile, kind: str, name: str, spec: Json, *, namespace: str = "", model: str = "") -> Manifest:
    """Return a manifest with our labels; `namespace` is the gateway's unless it is said."""
    metadata: Json = {"name": name, "labels": labels_of(profile.gateway)}
    if kind not in CLUSTER_SCOPED:
        metadata["namespace"] = namespace or profile.namespace
    if model:
        metadata["annotations"] = {MODEL: model}
    return {"apiVersion": _API_VERSIONS[kind], "kind": kind, "metadata": metadata, "spec": spec}


def named(profile: GatewayProfile, what: str) -> str:
    """Return the name of a resource that a gateway has once."""
    return f"{profile.gateway}-{what}"


def name_of(profile: GatewayProfile, what: str, subject: str) -> str:
    """Return a name for one of many: readable as far as `subject` can be a name, and different for different subjects."""
    slug = _SLUG.sub("-", subject.lower())[:_SLUG_LENGTH].strip("-")
    digest = hashlib.sha256(subject.encode()).hexdigest()[:10]
    return "-".join(part for part in (profile.gateway, what, slug, digest) if part)


def gateway_ref(profile: GatewayProfile) -> Json:
    """Return the reference by which a policy targets the gateway."""
    return {"group": GATEWAY_API, "kind": "Gateway", "name": profile.gateway}


def ordered(manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Sort by (apiVersion, kind, namespace, name)."""
    return tuple(sorted(manifests, key=key_of))


def key_of(manifest: Manifest) -> tuple[str, str, str, str]:
    """Return what makes a manifest the same object: (apiVersion, kind, namespace, name)."""
    metadata = manifest["metadata"]
    return manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def seconds(value: int) -> str:
    """Return a duration as Gateway API writes it, of which each number has at most five digits."""
    if value < 100_000:
        return f"{value}s"
    hours, rest = divmod(value, 3600)
    return f"{hours}h{rest}s" if rest else f"{hours}h"


def milliseconds(value: int) -> str:
    """Return a duration as Gateway API writes it."""
    whole, rest = divmod(value, 1000)
    if not rest:
        return seconds(whole)
    return f"{value}ms" if value < 100_000 else f"{seconds(whole)}{rest}ms"
