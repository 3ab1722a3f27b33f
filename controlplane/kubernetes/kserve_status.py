"""What an object in a cluster says of the engine behind it: is it ready, where is it, what does it speak. Pure.

KServe's InferenceService (serving.kserve.io/v1beta1) and LLMInferenceService (v1alpha2) say it in the condition `Ready` and in `status.address`
(https://kserve.github.io/website/docs/reference/crd-api); a Deployment in `Available`, and the Service of its pods where they are.
"""

from controlplane.backends.references import EngineKind, Readiness
from controlplane.backends.rules import canonical_base_url
from controlplane.kubernetes.engine_kind import engine_of
from controlplane.kubernetes.objects import Json

_MESSAGE = 500
_READY = {"InferenceService": "Ready", "LLMInferenceService": "Ready", "Deployment": "Available"}


API_VERSIONS = {
    EngineKind.INFERENCE_SERVICE: "serving.kserve.io/v1beta1",
    EngineKind.LLM_INFERENCE_SERVICE: "serving.kserve.io/v1alpha2",
    EngineKind.DEPLOYMENT: "apps/v1",
}


def readiness_of(engine: Json, service: Json | None = None) -> Readiness:
    """Say what an object tells of its engine. `service`: the one in front of it, where the object itself tells no address that could be used."""
    kind = engine_of(engine)
    base_url, no_address = _address(engine, service)
    problem = _problem(engine) or no_address
    return Readiness(problem, base_url, kind.model_type, kind.reason, kind.models)


def service_of(engine: Json) -> str:
    """Return the name of the Service to look at as well; empty: the object tells its address by itself."""
    status = engine.get("status") or {}
    if engine["kind"] == EngineKind.DEPLOYMENT:
        return str(engine["metadata"]["name"])
    if engine["kind"] == EngineKind.LLM_INFERENCE_SERVICE and not _told_address(status)[0]:
        workload = (status.get("workloads") or {}).get("service") or {}
        return str(workload.get("name") or "")
    return ""


def _problem(engine: Json) -> str:
    said = _not_ready(engine, engine.get("status") or {})
    return f"{engine['kind']} {engine['metadata']['namespace']}/{engine['metadata']['name']} {said}" if said else ""


def _not_ready(engine: Json, status: Json) -> str:
    metadata, condition = engine["metadata"], _READY[engine["kind"]]
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready = conditions.get(condition)
    if metadata.get("deletionTimestamp"):
        return "is being deleted"
    if engine["kind"] == EngineKind.DEPLOYMENT and engine["spec"].get("replicas") == 0:
        return "is scaled to 0 replicas"
    if ready is None:
        return f"has no condition {condition} yet" if conditions else "has no conditions yet: its controller has not looked at it, or does not run"
    if "observedGeneration" in status and status["observedGeneration"] < metadata.get("generation", 0):
        return "was changed, and its controller has not taken that yet"
    return "" if ready["status"] == "True" else f"is not ready: {_why(ready, conditions, status)}"


def _why(ready: Json, conditions: dict[str, Json], status: Json) -> str:
    """The condition's own words; where it has none those of the others, and what happened to the model last."""
    said = _said(ready)
    if not ready.get("message"):
        said = "; ".join(
            [said, *(f"{kind}: {_said(other)}" for kind, other in conditions.items() if other is not ready and other["status"] == "False")]
        )
    failure = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
    if failure.get("message") and failure["message"] not in said:
        said = f"{said}; {failure.get('reason') or 'failure'}: {failure['message']}"
    return said[:_MESSAGE]


def _said(condition: Json) -> str:
    reason, message = condition.get("reason") or "", condition.get("message") or ""
    return ": ".join(part for part in (reason, message) if part) or f"{condition['type']} is {condition['status']}"


def _address(engine: Json, service: Json | None) -> tuple[str, str]:
    """Where requests go, and what is wrong if nobody knows."""
    if engine["kind"] == EngineKind.DEPLOYMENT or service is not None:
        if service is None:
            return "", f"there is no Service {engine['metadata'].get('namespace')}/{engine['metadata']['name']} in front of the Deployment"
        return _service_address(service)
    url, problem = _told_address(engine.get("status") or {})
    return url, problem


def _told_address(status: Json) -> tuple[str, str]:
    """What KServe tells: the address inside of the cluster, else the one outside."""
    told = [(status.get("address") or {}).get("url"), *(one.get("url") for one in status.get("addresses") or ()), status.get("url")]
    urls = [str(url) for url in told if url]
    for url in urls:
        try:
            return canonical_base_url(url), ""
        except ValueError:
            continue
    if urls:
        return "", f"its address {urls[0][:200]} has a path, or is none that requests can be sent to"
    return "", "it has no address yet"


def _service_address(service: Json) -> tuple[str, str]:
    """A Service's name in the cluster's DNS with its HTTP port: the only one, or the one whose name says so."""
    metadata, ports = service["metadata"], service["spec"].get("ports") or []
    named = [port for port in ports if str(port.get("appProtocol") or port.get("name") or "").startswith("http")]
    usable = named or ports
    if len(usable) != 1 and len(named) != 1:
        return "", f"Service {metadata['namespace']}/{metadata['name']} has {len(ports)} ports, and not one whose name begins with http"
    port = usable[0]
    scheme = "https" if str(port.get("appProtocol") or port.get("name") or "").startswith("https") else "http"
    return canonical_base_url(f"{scheme}://{metadata['name']}.{metadata['namespace']}.svc.cluster.local:{port['port']}"), ""
