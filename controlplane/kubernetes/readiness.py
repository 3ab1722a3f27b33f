"""Looks at the objects that engines were registered by: the port `EngineObjects` on a real API server. Only reads."""

from controlplane.backends.ports import ClusterUnavailable
from controlplane.backends.references import EngineReference, Readiness
from controlplane.gateway.ports import GatewayRejected, GatewayUnreachable
from controlplane.kubernetes.api import KubernetesApi
from controlplane.kubernetes.kserve_status import API_VERSIONS, readiness_of, service_of
from controlplane.kubernetes.objects import Json, path_of
from controlplane.kubernetes.ports import NotServed


class KubernetesEngineObjects:
    """Asks the cluster that the control plane is connected to."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def look(self, reference: EngineReference) -> Readiness:
        try:
            engine = await self._find(API_VERSIONS[reference.kind], reference.kind, reference.namespace, reference.name)
            if engine is None:
                return Readiness(f"there is no {reference} in the cluster")
            service = service_of(engine)
            return readiness_of(engine, await self._find("v1", "Service", reference.namespace, service) if service else None)
        except GatewayRejected as error:
            return Readiness(str(error))
        except GatewayUnreachable as error:
            raise ClusterUnavailable(str(error)) from error

    async def _find(self, api_version: str, kind: str, namespace: str, name: str) -> Json | None:
        try:
            return await self._api.call("GET", path_of(api_version, kind, namespace, name))
        except NotServed:
            return None
