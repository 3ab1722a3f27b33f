"""What connections of a model may take, from what the publication says and what its engines say. Pure.

An engine's numbers protect the engine, so a publication can only stay below them; times are its to choose, as it knows how long its answers
take (docs/decisions/0023).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayTraffic


def traffic_of(route: GatewayRoute, backends: Mapping[str, GatewayBackend]) -> GatewayTraffic:
    """Return what holds for the route, which has targets."""
    return combined(route.traffic, [backends[target.backend_id].traffic for target in route.targets])


def combined(own: GatewayTraffic, engines: Sequence[GatewayTraffic]) -> GatewayTraffic:
    """Return what holds for a model on its engines.

    Times are its own, else the longest of its engines. Of the numbers the smaller one holds, its own or the sum of its engines.
    """
    is_default = own.connect_timeout_ms == GatewayTraffic().connect_timeout_ms
    return GatewayTraffic(
        connect_timeout_ms=max(engine.connect_timeout_ms for engine in engines) if is_default else own.connect_timeout_ms,
        silence_timeout_s=own.silence_timeout_s or _over_all(max, (engine.silence_timeout_s for engine in engines)),
        answer_timeout_s=own.answer_timeout_s or _over_all(max, (engine.answer_timeout_s for engine in engines)),
        max_connections=_smaller(own.max_connections, _over_all(sum, (engine.max_connections for engine in engines))),
        max_pending_requests=_smaller(own.max_pending_requests, _over_all(sum, (engine.max_pending_requests for engine in engines))),
        max_requests=_smaller(own.max_requests, _over_all(sum, (engine.max_requests for engine in engines))),
    )


def _over_all(fold: Callable[[list[int]], int], values: Iterable[int | None]) -> int | None:
    """Fold what all engines say; None when one of them has no limit."""
    known = list(values)
    limits = [value for value in known if value is not None]
    return fold(limits) if len(limits) == len(known) else None


def _smaller(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)
