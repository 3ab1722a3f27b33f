"""What the control plane may do in a cluster: exactly what it does, and nothing else. Pure. The chart renders it; tests try it on a real API server.

The gateway's namespace has a Role with everything, other namespaces that the profile refers to one for ReferenceGrants, and what is in no
namespace a ClusterRole.
"""

from collections.abc import Iterable

from controlplane.kubernetes.objects import ABROAD, CLUSTER_SCOPED, KINDS, Json, group_of, plural

_WRITE = ("create", "delete", "get", "list", "patch", "watch")
"""Server-side apply is `patch`, and `create` where nothing is there yet."""
LEASES: Json = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update"]}
EVENTS: Json = {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}


def namespace_rules() -> list[Json]:
    """Return the rules in the gateway's own namespace."""
    return [*_rules(kind for _, kind in KINDS if kind not in CLUSTER_SCOPED), LEASES, EVENTS]


def foreign_rules() -> list[Json]:
    """Return the rules in a namespace that holds what the profile refers to."""
    return [*_rules(ABROAD), EVENTS]


def cluster_rules() -> list[Json]:
    """Return the rules for what is in no namespace. Events about it are in `default`, where EVENTS is all that is needed."""
    return _rules(CLUSTER_SCOPED)


def engine_rules() -> list[Json]:
    """Return the rules in a namespace with engines that are registered by their objects: these are looked at, one by one."""
    return [
        {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices", "llminferenceservices"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
    ]


def _rules(kinds: Iterable[str]) -> list[Json]:
    groups: dict[str, list[str]] = {}
    versions = {kind: version for version, kind in KINDS}
    for kind in sorted(kinds):
        groups.setdefault(group_of(versions[kind]), []).append(plural(kind))
    return [{"apiGroups": [group], "resources": resources, "verbs": list(_WRITE)} for group, resources in sorted(groups.items())]
