"""What connections to engines may take, as a BackendTrafficPolicy says it. Pure.

A model with settings of its own has a policy on its route, which takes the place of the gateway's as a whole: each is complete.
"""

from collections.abc import Sequence

from controlplane.gateway.clusters import HEALTHY_STATUSES
from controlplane.gateway.ports import GatewayTraffic
from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.manifests import Json, milliseconds, seconds

_UNLIMITED = 65_536
_RETRIES = 64
_POOL_RETRIES = 1_024
"""Tries again that may run at once: when an engine dies, all that were about to connect go elsewhere."""
_MAX_TRIES = 3

# What a health check cannot see: an engine that says it is well and fails. At most half are put aside for that.
_OUTLIERS: Json = {
    "splitExternalLocalOriginErrors": True,
    "interval": "1s",
    "consecutiveLocalOriginFailures": 3,
    "consecutiveGatewayErrors": 5,
    "consecutive5XxErrors": 0,
    "baseEjectionTime": "5s",
    "maxEjectionPercent": 50,
}


def traffic(profile: GatewayProfile, own: GatewayTraffic | None = None, health_paths: Sequence[str] = ()) -> Json:
    """Return the settings for a model's connections; `health_paths` has one for each engine of a pool, and is empty without a pool."""
    own = own or GatewayTraffic()
    idle = own.silence_timeout_s or profile.stream_idle_timeout_s
    breaker: Json = {
        "maxConnections": _limit(own.max_connections),
        "maxPendingRequests": _limit(own.max_pending_requests),
        "maxParallelRequests": _limit(own.max_requests),
        "maxParallelRetries": _POOL_RETRIES if len(health_paths) > 1 else _RETRIES,
    }
    spec: Json = {
        # Only what never reached an engine is tried again.
        "retry": {"numRetries": 1, "retryOn": {"triggers": ["connect-failure", "refused-stream"]}},
        "circuitBreaker": breaker,
        "tcpKeepalive": {"probes": 4, "idleTime": "60s", "interval": "15s"},
        "connection": {"bufferLimit": "1Mi"},
        "dns": {"lookupFamily": "IPv4Preferred"},
        "timeout": {
            "tcp": {"connectTimeout": milliseconds(own.connect_timeout_ms)},
            "http": {
                # No timeout for the whole answer unless the model has one: the listener ends idle and endless streams.
                "requestTimeout": seconds(own.answer_timeout_s or 0),
                "streamIdleTimeout": seconds(idle),
                # vLLM and other uvicorn servers close idle connections after 5 s: close first, or a request meets the closing one.
                "connectionIdleTimeout": "4s",
            },
        },
        "rateLimit": _rate_limit(profile),
    }
    if len(health_paths) > 1:
        # Other engines are tried, those of the fallback too, before health checks have noticed anything.
        spec["retry"]["numRetries"] = min(len(health_paths), _MAX_TRIES)
        spec["retry"]["numAttemptsPerPriority"] = 2
        spec["healthCheck"] = _health(health_paths)
    return spec


def _health(paths: Sequence[str]) -> Json:
    # Never send to engines that are known to be down: with none left the answer is 503 at once (docs/decisions/0017).
    checks: Json = {"passive": _OUTLIERS, "panicThreshold": 0}
    if len(set(paths)) == 1:
        checks["active"] = {
            "type": "HTTP",
            "http": {"path": paths[0], "expectedStatuses": list(HEALTHY_STATUSES)},
            "timeout": "2s",
            "interval": "2s",
            "unhealthyThreshold": 2,
            "healthyThreshold": 2,
        }
    return checks


def _rate_limit(profile: GatewayProfile) -> Json:
    limits: Json = {"local": {"rules": [{"limit": {"requests": profile.flood_requests_per_s, "unit": "Second"}}]}}
    if (limit := profile.global_limit) is not None:
        # By route, and so by model, as every descriptor is.
        limits["global"] = {"rules": [{"limit": {"requests": limit.requests, "unit": limit.unit}}]}
    return limits


def _limit(value: int | None) -> int:
    return _UNLIMITED if value is None else value
