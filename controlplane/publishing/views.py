"""Turns rows into what the API shows of a publication."""

from typing import Any

from sqlalchemy import Row

from controlplane.publishing.schemas import AuthenticationView, PublicationView, RateLimiting, UsageView


def view_of(row: Row[Any], usage: Row[Any] | None, gateway_url: str) -> PublicationView:
    """Make the view from a detailed row and the ledger's sums, None: never used."""
    return PublicationView(
        id=row.id,
        model_name=row.model,
        tenant_id=row.tenant_slug,
        model_type=row.model_type,
        status=row.status,
        public_hostname=row.public_hostname,
        external_path=row.external_path,
        endpoint=f"https://{row.public_hostname}/v1" if row.public_hostname else f"{gateway_url}/v1",
        backend=row.backend_name,
        backend_health=row.backend_health,
        upstream_model=row.upstream_model,
        context_tokens=row.context_tokens,
        output_cap=row.output_cap,
        continuous_usage=row.continuous_usage,
        rate_limiting=RateLimiting(**{name: getattr(row, name) for name in RateLimiting.model_fields}),
        authentication=AuthenticationView(require_api_key=row.require_api_key, allowed_tenants=row.tenant_slugs),
        api_key_hint=row.key_hint,
        usage=UsageView() if usage is None else UsageView.model_validate(usage),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
