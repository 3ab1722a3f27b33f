"""Turns rows into what the API shows of a publication."""

from typing import Any

from sqlalchemy import Row

from controlplane.backends.traffic import traffic_of
from controlplane.publishing import rules
from controlplane.publishing.saga import Step
from controlplane.publishing.schemas import AuthenticationView, PublicationView, RateLimiting, TargetView, UsageView


def view_of(row: Row[Any], usage: Row[Any] | None, gateway_url: str) -> PublicationView:
    """Make the view from a detailed row and the ledger's sums, None: never used."""
    base = f"https://{row.public_hostname}" if row.public_hostname else gateway_url
    return PublicationView(
        id=row.id,
        model_name=row.model,
        tenant_id=row.tenant_slug,
        model_type=row.model_type,
        model_type_reason=row.model_type_reason,
        status="pending" if row.status_step else row.status,
        status_step=row.status_step or Step.PUBLISHED,
        status_reason=row.status_reason,
        status_advice=row.status_advice,
        gateway_state=row.gateway_state,
        gateway_reason=row.gateway_reason,
        public_hostname=row.public_hostname,
        external_path=row.external_path,
        endpoint=f"{base}{row.external_path or rules.default_path(row.model, row.model_type)}" if row.model_type == "traditional" else f"{base}/v1",
        backend=row.backend_name,
        backend_health=row.backend_health,
        backends=_targets(row),
        upstream_model=row.upstream_model,
        context_tokens=row.context_tokens,
        output_cap=row.output_cap,
        continuous_usage=row.continuous_usage,
        traffic=traffic_of(row.traffic),
        rate_limiting=RateLimiting(**{name: getattr(row, name) for name in RateLimiting.model_fields}),
        authentication=AuthenticationView(require_api_key=row.require_api_key, allowed_tenants=row.tenant_slugs),
        api_key_hint=row.key_hint,
        usage=UsageView() if usage is None else UsageView.model_validate(usage),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _targets(row: Row[Any]) -> list[TargetView]:
    targets = [TargetView(**target) for target in row.targets or ()]
    if any(target.name == row.backend_name for target in targets):
        return targets
    return [TargetView(name=row.backend_name, weight=100, priority=0, health=row.backend_health, health_reason=row.backend_health_reason)]
