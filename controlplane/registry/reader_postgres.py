"""The reader on PostgreSQL: everything at the start, afterwards what the change log names."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec

from controlplane.approvals.rules import Rule, State
from controlplane.registry.models import Approvals, Model, Price, Provider
from controlplane.registry.rules import url_kind
from ias.change_log_postgres import PostgresChangeLog, open_pool

_PROVIDERS = "SELECT id, name, kind, base_url, health, coalesce(health_reason, '') AS health_reason FROM backends WHERE status <> 'deleted'"
_MODELS = """
SELECT m.id, m.backend_id, m.upstream_model, m.capabilities, m.modalities, m.context_tokens, m.output_tokens, m.status, m.first_seen_at,
  a.aliases, p.prices
FROM catalog_models m
JOIN backends b ON b.id = m.backend_id AND b.status <> 'deleted'
LEFT JOIN (SELECT catalog_model_id, array_agg(alias ORDER BY alias) AS aliases FROM catalog_aliases GROUP BY 1) a ON a.catalog_model_id = m.id
LEFT JOIN (
  SELECT catalog_model_id, jsonb_agg(jsonb_build_object('valid_from', valid_from, 'currency', currency, 'input', input::text,
    'cached_input', coalesce(cached_input::text, ''), 'output', output::text) ORDER BY valid_from) AS prices
  FROM catalog_prices GROUP BY 1
) p ON p.catalog_model_id = m.id
"""
_SOME_MODELS = f"{_MODELS} WHERE m.backend_id = ANY($1::uuid[]) OR m.id = ANY($2::uuid[])"
_RULES = "SELECT org_id, backend_id, pattern, ended_at FROM approval_rules WHERE $1::uuid[] IS NULL OR org_id = ANY($1)"
_DECIDED = "SELECT org_id, catalog_model_id, state FROM model_approvals WHERE $1::uuid[] IS NULL OR org_id = ANY($1)"
_prices = msgspec.json.Decoder(tuple[Price, ...])


class PostgresRegistryReader(PostgresChangeLog):
    """Reads tables of the control plane, and nothing of it may be written by this session."""

    @classmethod
    async def open(cls, url: str, timeout_s: float) -> "PostgresRegistryReader":
        """Make the reader; the database need not be there yet."""
        return cls(await open_pool(url, timeout_s, connections=2, name="ias-registry"))

    async def providers(self) -> list[Provider]:
        rows = await self._fetch(_PROVIDERS)
        return [Provider(row["id"], row["name"], row["kind"], url_kind(row["base_url"]), row["health"], row["health_reason"]) for row in rows]

    async def models(self, backend_ids: Collection[UUID] | None = None, model_ids: Collection[UUID] | None = None) -> list[Model]:
        if backend_ids is None and model_ids is None:
            rows = await self._fetch(_MODELS, timeout_s=self._load_timeout_s)
        else:
            rows = await self._fetch(_SOME_MODELS, list(backend_ids or ()), list(model_ids or ()), timeout_s=self._load_timeout_s)
        return [_model(row) for row in rows]

    async def approvals(self, org_ids: Sequence[str] | None = None) -> dict[str, Approvals]:
        named = None if org_ids is None else [UUID(one) for one in org_ids]
        rules: dict[str, list[Rule]] = defaultdict(list)
        decided: dict[str, list[tuple[UUID, State]]] = defaultdict(list)
        for row in await self._fetch(_RULES, named, timeout_s=self._load_timeout_s):
            rules[str(row["org_id"])].append(Rule(row["backend_id"], row["pattern"], row["ended_at"]))
        for row in await self._fetch(_DECIDED, named, timeout_s=self._load_timeout_s):
            decided[str(row["org_id"])].append((row["catalog_model_id"], State(row["state"])))
        orgs = {*rules, *decided, *(org_ids or ())}
        return {org_id: Approvals(tuple(rules.get(org_id, ())), tuple(decided.get(org_id, ()))) for org_id in orgs}


def _model(row: Any) -> Model:
    return Model(
        id=row["id"],
        backend_id=row["backend_id"],
        upstream_model=row["upstream_model"],
        aliases=tuple(row["aliases"] or ()),
        capabilities=tuple(row["capabilities"]),
        modalities=tuple(row["modalities"]),
        context_tokens=row["context_tokens"],
        output_tokens=row["output_tokens"],
        is_active=row["status"] == "active",
        first_seen_at=row["first_seen_at"],
        prices=_prices.decode(row["prices"]) if row["prices"] else (),
    )
