"""Which buckets a key and a publication have. Made once, when the record is read."""

from ias.gateway_views import Credential, Publication
from ratelimit.ports import Limit

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000


def key_limits(credential: Credential) -> tuple[Limit, ...]:
    """The key's own limits."""
    return _limits("the API key", f"key:{credential.key_id}", credential.requests_per_minute, credential.burst_limit, None)


def publication_limits(publication: Publication) -> tuple[Limit, ...]:
    """The limits of each org that uses the publication: the buckets lie inside the org."""
    per_minute, per_hour = publication.requests_per_minute, publication.requests_per_hour
    return _limits(f"the model '{publication.model}'", f"pub:{publication.publication_id}", per_minute, publication.burst_limit, per_hour)


def _limits(of: str, bucket: str, per_minute: int | None, burst: int | None, per_hour: int | None) -> tuple[Limit, ...]:
    """Zero requests let nothing pass; a burst of zero means that none was set."""
    limits = []
    if per_minute is not None:
        limits.append(_limit(f"requestsPerMinute of {of}", f"{bucket}:rpm", per_minute, _MINUTE_MS, burst))
    if per_hour is not None:
        limits.append(_limit(f"requestsPerHour of {of}", f"{bucket}:rph", per_hour, _HOUR_MS, None))
    return tuple(limits)


def _limit(name: str, bucket: str, requests: int, period_ms: int, burst: int | None) -> Limit:
    if requests == 0:
        return Limit(name, bucket, 1, period_ms, 0)
    return Limit(name, bucket, requests, period_ms, burst or requests)
