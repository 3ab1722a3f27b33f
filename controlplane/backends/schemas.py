"""JSON of the backends."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from sqlalchemy import Row

from controlplane.api_model import ApiModel
from controlplane.backends.references import EngineKind, EngineReference
from controlplane.backends.repository import condition_of
from controlplane.backends.rules import Health, as_id, canonical_base_url
from controlplane.backends.traffic import Traffic, traffic_of


def _not_an_id(name: str) -> str:
    if as_id(name) is not None:
        raise ValueError("a name must not look like an id")
    return name


_NAME = StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
BackendName = Annotated[str, _NAME, AfterValidator(_not_an_id)]
"""1 to 63 letters, digits, `.`, `_` and `-`, the first a letter or digit."""


CredentialName = Annotated[str, _NAME]
BackendFilter = Annotated[str | None, _NAME, Field(description="Name of a backend.")]
"""Only what belongs to this backend."""
"""The name of a file in IAS_BACKEND_CREDENTIALS_DIR."""
Seconds = Annotated[float, Field(ge=0.5, le=86_400)]


class ChangeBackend(ApiModel):
    """How a backend is probed, what it is shown, and what it can take. What is not given stays; null is the default again."""

    probe_interval_s: Seconds | None = Field(default=None, description="seconds between two probes; by default IAS_PROBE_INTERVAL")
    discovery_interval_s: Seconds | None = Field(default=None, description="seconds between two lists of models; by default IAS_DISCOVERY_INTERVAL")
    credential: CredentialName | None = Field(
        default=None,
        description="name of the credential that it is shown, by probes and by the gateway: a file in the folder IAS_BACKEND_CREDENTIALS_DIR,"
        " sent as a bearer token; never the credential itself",
    )
    traffic: Traffic | None = Field(
        default=None, description="what connections to it may take, for all models that go to it; of this, too, what is not given stays"
    )


ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
"""A name in Kubernetes (RFC 1123)."""


class ObjectInCluster(ApiModel):
    """The object of a Kubernetes cluster that an engine is registered by: its conditions say whether it is ready, its status where it is."""

    kind: EngineKind = Field(description="KServe's InferenceService or LLMInferenceService, or a Deployment with a Service of its name")
    namespace: ObjectName = Field(examples=["models"])
    name: ObjectName = Field(examples=["iris"])

    def reference(self) -> EngineReference:
        """As probes have it."""
        return EngineReference(self.kind, self.namespace, self.name)


class RegisterBackend(ChangeBackend):
    """An engine to register, by its address or by an object of the cluster. It may be down: then it is registered as unhealthy."""

    name: BackendName
    base_url: Annotated[str, StringConstraints(max_length=300), AfterValidator(canonical_base_url)] | None = Field(
        default=None,
        examples=["http://127.0.0.1:8000"],  # an example is of one of the two
        description="`http(s)://host:port` of an engine that speaks OpenAI's API or KServe's, without a path",
    )
    kubernetes: ObjectInCluster | None = Field(default=None, description="in place of `baseUrl`; needs IAS_GATEWAY=kubernetes")

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.base_url is None) == (self.kubernetes is None):
            raise ValueError("give either baseUrl or kubernetes")
        return self


class BackendView(ApiModel):
    """A registered engine and what probes say of it."""

    id: UUID
    name: str
    base_url: str
    kubernetes: ObjectInCluster | None
    kind: str = Field(description="'openai' or 'traditional': the protocol that answered its last good probe, or that its object tells")
    kind_reason: str | None = Field(description="what in the object of the cluster tells the kind")
    health: Health = Field(description="changes when several probes in a row say so")
    health_reason: str | None = Field(description="what was wrong with the last probe")
    health_changed_at: datetime | None
    latency_ms: float | None = Field(description="until an answer of the health check begins: a mean in which old probes fade")
    availability: float | None = Field(description="share of good ones among the last 60 probes", ge=0, le=1)
    models: list[str]
    checked_at: datetime | None
    probe_interval_s: float | None
    discovery_interval_s: float | None
    credential: str | None
    traffic: Traffic
    created_at: datetime


class SeenView(ApiModel):
    """What requests of clients say of an engine, of models that only it serves."""

    since: datetime
    requests: int
    errors: int = Field(description="requests that the engine failed")
    error_rate: float | None = Field(description="none without requests", ge=0, le=1)


class BackendDetailView(BackendView):
    """A backend with what the gateway saw of it in the last hour."""

    seen: SeenView


class BackendList(ApiModel):
    """All registered engines."""

    items: list[BackendView]


def view_of(row: Row[Any]) -> BackendView:
    """Make the view of a backend."""
    known = {name: getattr(row, name) for name in BackendView.model_fields if name not in {"availability", "traffic"}}
    return BackendView(**known, availability=condition_of(row).availability, traffic=traffic_of(row.traffic))


def detail_of(row: Row[Any], since: datetime, requests: int, errors: int) -> BackendDetailView:
    """Make the view of one backend."""
    seen = SeenView(since=since, requests=requests, errors=errors, error_rate=errors / requests if requests else None)
    return BackendDetailView(**view_of(row).model_dump(), seen=seen)
