"""What must not be attached to a gateway's routes, by us or by anybody: a pure check of any set of manifests.

Envoy Gateway accepts these, and then requests pass without authorization, or AI Gateway reads the bodies of strangers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

_ON_GATEWAYS_ONLY = frozenset({"SecurityPolicy", "EnvoyExtensionPolicy"})
_NOT_WITH_RESPONSE_OVERRIDE = frozenset({"Gateway", "ListenerSet"})


class Forbidden(ValueError):
    """A manifest would open the gateway; the message names it and says what to do."""


def refuse_forbidden(manifests: Iterable[Mapping[str, Any]]) -> None:
    """Raise Forbidden, with all reasons, unless every manifest may be applied."""
    if reasons := [reason for manifest in manifests for reason in _reasons(manifest)]:
        raise Forbidden("; ".join(reasons))


def _reasons(manifest: Mapping[str, Any]) -> list[str]:
    kind, metadata, spec = manifest.get("kind"), manifest.get("metadata") or {}, manifest.get("spec") or {}
    name = f"{kind} {metadata.get('namespace', 'default')}/{metadata.get('name')}"
    kinds = {str(target.get("kind")) for target in _targets(spec)}
    reasons = []
    if kind in _ON_GATEWAYS_ONLY and (routes := sorted(kinds - {"Gateway"})):
        reasons.append(
            f"{name} targets {', '.join(routes)}: Envoy takes a filter's settings from the route it selects first, before the model is known,"
            " so this would be skipped without a word. Target the Gateway"
        )
    if kind == "BackendTrafficPolicy" and spec.get("responseOverride") and kinds & _NOT_WITH_RESPONSE_OVERRIDE:
        reasons.append(
            f"{name} sets responseOverride on a Gateway: AI Gateway then puts its filter in front of authorization."
            " Shape local replies by an EnvoyPatchPolicy"
        )
    return reasons


def _targets(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    single = [spec["targetRef"]] if spec.get("targetRef") else []
    return [*single, *(spec.get("targetRefs") or []), *(spec.get("targetSelectors") or [])]
