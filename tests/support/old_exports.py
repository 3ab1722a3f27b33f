"""ConfigMaps as the management service before IAS wrote them and kubectl exports them."""

import json
from typing import Any

import yaml

OLD_KEY = "a1b2c3d4e5f6-the-old-plain-key"


def published(model: str, tenant: str = "tenant-a", **changes: Any) -> dict[str, Any]:
    """One published model; a change to None leaves the field out."""
    url = f"https://api.router.inference-in-a-box/published/models/{model}"
    described = {
        "modelName": model,
        "namespace": tenant,
        "tenantId": tenant,
        "modelType": "traditional",
        "externalUrl": url,
        "publicHostname": "api.router.inference-in-a-box",
        "apiKey": OLD_KEY,
        "rateLimiting": {"requestsPerMinute": 100, "requestsPerHour": 5000, "tokensPerHour": 0, "burstLimit": 10},
        "status": "active",
        "createdAt": "2025-07-14T09:30:00.123456789Z",
        "updatedAt": "2025-07-14T09:30:00.123456789Z",
        "usage": {"totalRequests": 0, "requestsToday": 0, "tokensUsed": 0, "lastAccessTime": "0001-01-01T00:00:00Z"},
        "documentation": {"endpointUrl": url, "authHeaders": {"X-API-Key": OLD_KEY}, "sdkExamples": {"curl": f"curl -H 'X-API-Key: {OLD_KEY}'"}},
    }
    left = {name: value for name, value in {**described, **changes}.items() if value is not None}
    return config_map(f"published-model-metadata-{model}", tenant, {"metadata.json": json.dumps(left)}, model)


def config_map(name: str, namespace: str, data: dict[str, str], model: str | None = None) -> dict[str, Any]:
    """One ConfigMap, with labels if it is of a model."""
    labels = {"labels": {"app": "published-model", "model-name": model, "type": "metadata"}} if model else {}
    times = {"creationTimestamp": "2025-07-14T09:30:00Z", "resourceVersion": "1234", "uid": "0f0f0f0f-0000-4000-8000-000000000000"}
    return {"apiVersion": "v1", "data": data, "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, **times, **labels}}


def export(*items: dict[str, Any]) -> str:
    """What `kubectl get configmap -o yaml` prints: with what every namespace has beside."""
    others = [config_map("kube-root-ca.crt", "tenant-a", {"ca.crt": "-----BEGIN CERTIFICATE-----\nMIIB\n"})]
    return yaml.safe_dump({"apiVersion": "v1", "items": [*others, *items], "kind": "List", "metadata": {"resourceVersion": ""}})
