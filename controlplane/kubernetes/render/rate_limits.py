"""The limits that our Rate Limit Service needs to know: Envoy Gateway tells them to its own only. Pure."""

from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.manifests import Json


def rate_limit_rules(profile: GatewayProfile) -> list[Json]:
    """Return the value of the Rate Limit Service's setting IAS_RATE_LIMITS, as JSON holds it."""
    if (limit := profile.global_limit) is None:
        return []
    return [
        {
            "name": "requests to this model",
            "domain": f"{profile.namespace}/{profile.gateway}/*",
            # As Envoy Gateway writes descriptors: the route, which is that of one model, and the rule.
            "entries": [["httproute/*", "httproute/*"], ["rule-0-*", "rule-0-*"]],
            "requests_per_unit": limit.requests,
            "unit": limit.unit.lower(),
        }
    ]
