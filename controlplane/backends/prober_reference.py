"""Probes engines that were registered by an object of the cluster: what its controller says of it counts, and not what an HTTP health check says.

The engine is asked for its models all the same. While the cluster does not answer, the HTTP probe is the next best.
"""

from dataclasses import replace

from controlplane.backends.ports import ClusterUnavailable, EngineObjects, Probe, Prober
from controlplane.backends.references import Readiness
from controlplane.backends.rules import Verdict, unhealthy
from controlplane.catalog.engine_list import Told

_NO_CLUSTER = "the control plane knows no Kubernetes cluster: it does with IAS_GATEWAY=kubernetes"


class ReferenceProber:
    """`http` probes all others. `objects` None: no cluster is known."""

    def __init__(self, http: Prober, objects: EngineObjects | None) -> None:
        self._http = http
        self._objects = objects

    async def probe(self, probe: Probe) -> Verdict:
        if probe.reference is None:
            return await self._http.probe(probe)
        if self._objects is None:
            return unhealthy(_NO_CLUSTER)
        try:
            readiness = await self._objects.look(probe.reference)
        except ClusterUnavailable as error:
            return await self._http.probe(probe) if probe.base_url else unhealthy(f"the cluster cannot be asked: {error}")
        if readiness.problem:
            return Verdict(readiness.problem, None, readiness.model_type, base_url=readiness.base_url, type_reason=readiness.type_reason)
        return _verdict(readiness, await self._http.probe(replace(probe, base_url=readiness.base_url, kind=readiness.model_type or probe.kind)))


def _verdict(readiness: Readiness, asked: Verdict) -> Verdict:
    """What the object says, with the models that the engine itself told; by the object's names where it tells none."""
    if asked.is_denied:
        return replace(asked, base_url=readiness.base_url)
    told = asked.told if asked.told is not None else tuple(Told(name) for name in readiness.models) or None
    said = Verdict("", told, readiness.model_type or asked.model_type, asked.latency_ms)
    return replace(said, base_url=readiness.base_url, type_reason=readiness.type_reason)
