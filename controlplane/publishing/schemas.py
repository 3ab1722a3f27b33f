"""JSON of publishing: the body of seed 002, plus `backend` and `upstreamModel`."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from controlplane.api_model import ApiModel, ShortText
from controlplane.backends.traffic import Traffic
from controlplane.limits.rules import MAX_TOKENS
from controlplane.limits.schemas import LimitValues
from controlplane.pagination import PageQuery
from controlplane.publishing.addresses import MAX_HOSTNAME, MAX_PATH, canonical_hostname, canonical_path, canonical_pattern
from ias.context import AdmissionMode

_MAX_TENANTS = 1_000
_MAX_TARGETS = 16


Size = Annotated[int, Field(ge=1, le=MAX_TOKENS, strict=True)]
HostName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_HOSTNAME), AfterValidator(canonical_hostname)]
HostPattern = Annotated[str, StringConstraints(min_length=1, max_length=MAX_HOSTNAME), AfterValidator(canonical_pattern)]
Path = Annotated[str, StringConstraints(min_length=2, max_length=MAX_PATH), AfterValidator(canonical_path)]
SIZES = ("context_tokens", "output_cap", "continuous_usage")
"""What a configuration says about the engine's requests."""
UpstreamModel = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
Tenants = Annotated[list[ShortText], Field(min_length=1, max_length=_MAX_TENANTS)]


class RateLimiting(LimitValues):
    """Limits of each tenant that uses the publication, null: none; and how tokens are held in token limits and budgets."""

    admission_mode: AdmissionMode = Field(
        default=AdmissionMode.BALANCED,
        description="unless the org has its own; a gateway that only watches takes lenient alone, which is its default",
    )


class Authentication(ApiModel):
    """Who may call."""

    require_api_key: bool = Field(default=True, description="false: anybody may call, within the limits; traditional models only")
    allowed_tenants: Tenants | None = Field(default=None, description="slugs or ids of orgs; by default the tenant alone")


class Target(ApiModel):
    """One of several backends of a publication."""

    name: ShortText = Field(description="name or id of a registered backend")
    weight: int = Field(default=100, ge=1, le=1000, strict=True, description="its share among the healthy backends of its priority")
    priority: int = Field(default=0, ge=0, le=15, strict=True, description="higher numbers get requests only as far as lower ones are down")


Targets = Annotated[list[Target], Field(min_length=1, max_length=_MAX_TARGETS)]


class BackendsOfModel(ApiModel):
    """Where a model is: at one backend, or at several."""

    backend: ShortText | None = Field(default=None, description="name or id of a registered backend; by default the one that serves the model")
    backends: Targets | None = Field(default=None, description="several backends that all serve the model, in place of `backend`")

    @model_validator(mode="after")
    def _one_way_to_name_them(self) -> Self:
        if self.backend is not None and self.backends is not None:
            raise ValueError("give `backend` or `backends`, not both")
        return self


class PublishConfig(BackendsOfModel):
    """What to publish, for whom and how much."""

    tenant_id: ShortText = Field(description="slug or id of the org that owns the publication and its key")
    model_type: Literal["openai", "traditional"] | None = Field(default=None, description="by default what its backends answer")
    public_hostname: HostName | None = None
    external_path: Path | None = None
    upstream_model: UpstreamModel | None = Field(default=None, description="the backend's own name of the model; by default the published one")
    context_tokens: Size | None = Field(default=None, description="prompt and output together that the engine takes at most; null: unknown")
    output_cap: Size | None = Field(
        default=None, description="output tokens of a request that says none, as far as its hold needs them; null: the default"
    )
    continuous_usage: bool = Field(default=False, description="the engine understands stream_options.continuous_usage_stats, as vLLM does")
    traffic: Traffic = Traffic()
    rate_limiting: RateLimiting = RateLimiting()
    authentication: Authentication = Authentication()


class Publish(ApiModel):
    """Body of POST."""

    config: PublishConfig


class ConfigChange(BackendsOfModel):
    """Part of a configuration: what is left out stays as it is, a limit that is null is lifted."""

    tenant_id: ShortText | None = Field(default=None, description="if given, it must be the owner: publications do not change hands")
    model_type: Literal["openai", "traditional"] | None = None
    public_hostname: HostName | None = None
    external_path: Path | None = None
    upstream_model: UpstreamModel | None = None
    context_tokens: Size | None = None
    output_cap: Size | None = None
    continuous_usage: bool = False
    traffic: Traffic | None = None
    rate_limiting: RateLimiting | None = None
    authentication: Authentication | None = None


class Change(ApiModel):
    """Body of PUT."""

    config: ConfigChange


class AuthenticationView(ApiModel):
    """Who may call."""

    require_api_key: bool
    allowed_tenants: list[str]


class TargetView(ApiModel):
    """One backend of a publication and what its last probe said."""

    name: str
    weight: int
    priority: int
    health: str
    health_reason: str | None = Field(description="what was wrong with its last probe")


class UsageView(ApiModel):
    """Use since publishing, from the ledger; days are UTC."""

    total_requests: int = 0
    requests_today: int = 0
    tokens_used: int = 0
    last_access_time: datetime | None = None


class PublicationView(ApiModel):
    """A published model. The key itself is never shown again, only its hint."""

    id: UUID
    model_name: str
    tenant_id: str
    model_type: str = Field(description="'openai' or 'traditional'")
    model_type_reason: str | None = Field(description="why it is of this type")
    status: str = Field(description="'published', or 'pending' while it is being published")
    status_step: str = Field(description="validate, routes, policies, limits, key, canary, documentation, published: how far publishing has come")
    status_reason: str | None = Field(description="what is worth knowing of how it got here")
    status_advice: str | None = Field(description="what to do about it")
    gateway_state: str | None = Field(
        description="what Kubernetes says: accepted, waiting, unseen (by any controller), conflict (with another manager), refused; null: unknown"
    )
    gateway_reason: str | None = Field(description="in its words; empty when it is accepted")
    public_hostname: str | None
    external_path: str
    endpoint: str = Field(description="base URL for OpenAI clients; of a traditional model the place of its `/predict` and `/infer`")
    backend: str = Field(description="the first of `backends`")
    backend_health: str
    backends: list[TargetView] = Field(description="in the order in which they are used")
    upstream_model: str
    context_tokens: int | None
    output_cap: int | None
    continuous_usage: bool
    traffic: Traffic
    rate_limiting: RateLimiting
    authentication: AuthenticationView
    api_key_hint: str | None
    usage: UsageView
    version: int
    created_at: datetime
    updated_at: datetime


class NewPublicationView(PublicationView):
    """The answer to POST: the only one with the key."""

    api_key: str


class PublicationQuery(PageQuery):
    """The query parameters of the list."""

    tenant_id: ShortText | None = Field(default=None, description="slug or id of the org that owns them")


class Allowance(ApiModel):
    """What an org may publish."""

    max_publications: int | None = Field(default=None, ge=0, le=1_000_000, strict=True, description="null: as many as the service's setting says")
    hostnames: Annotated[list[HostPattern], Field(max_length=100)] | None = Field(
        default=None, description="the only ones it may use, `*.example.com` for all below; null: every one"
    )


class AllowanceView(Allowance):
    """What an org may publish, and what it has published."""

    publications: int
    effective_max_publications: int
