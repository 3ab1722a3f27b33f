"""Tenants with one of everything that a path can name: what the generated tests of the routes send their requests to."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from sqlalchemy import Insert, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.access_requests.tables import access_requests
from controlplane.approvals.tables import approval_rules, model_approvals
from controlplane.catalog.tables import catalog_models
from controlplane.ids import new_id
from controlplane.invites.tables import invites
from controlplane.schema import backends, budgets, credentials, keys, ledger, orgs, publication_tenants, publications, quota_requests, users
from controlplane.sign_in.tables import sessions
from ias.apikeys import new_key
from ias.roles import Role

PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse battery staple")  # as in the examples
MODELS = ["llama-3-8b", "served-model"]


@dataclass(frozen=True)
class Owner:
    """A person of a tenant and what is theirs."""

    user_id: UUID
    key_id: UUID
    request_id: str
    quota_request_id: UUID = field(default_factory=new_id)
    access_request_id: UUID = field(default_factory=new_id)
    session_id: UUID = field(default_factory=new_id)


@dataclass
class Tenant:
    """An org with an admin, a user and a colleague of both."""

    org_id: UUID = field(default_factory=new_id)
    invite_id: UUID = field(default_factory=new_id)
    service_account_id: UUID = field(default_factory=new_id)
    system_admin_id: UUID = field(default_factory=new_id)
    catalog_model_id: UUID = field(default_factory=new_id)
    approval_rule_id: UUID = field(default_factory=new_id)
    refused_model_ids: tuple[UUID, UUID] = field(default_factory=lambda: (new_id(), new_id()))
    people: dict[Role | str, Owner] = field(default_factory=dict)

    @property
    def refused_model(self) -> str:
        """A model that the admin has rejected and nobody asks for yet."""
        return f"{self.slug}::refused-1"

    @property
    def slug(self) -> str:
        return f"org-{self.org_id.hex[-12:]}"


# What stands for a parameter of a path. A new parameter gets its line here, and its object in `make_tenant` or `make_models`.
VALUES: dict[str, Callable[[Tenant, Owner], object]] = {
    "org": lambda tenant, _: tenant.slug,
    "user_id": lambda _, owner: owner.user_id,
    "key_id": lambda _, owner: owner.key_id,
    "session_id": lambda _, owner: owner.session_id,
    "request_id": lambda _, owner: owner.request_id,
    "invite_id": lambda tenant, _: tenant.invite_id,
    "system_admin_id": lambda tenant, _: tenant.system_admin_id,
    "service_account_id": lambda tenant, _: tenant.service_account_id,
    "quota_request_id": lambda _, owner: owner.quota_request_id,
    "access_request_id": lambda _, owner: owner.access_request_id,
    "approval_rule_id": lambda tenant, _: tenant.approval_rule_id,
    "catalog_model_id": lambda tenant, _: tenant.catalog_model_id,
    "model:path": lambda *_: "gpu-pool::served-model",
    "period": lambda *_: "month",
    "backend": lambda *_: "spare-pool",
    "name": lambda *_: "served-model",
    "name:path": lambda *_: "a/slash",
}
OF_A_USER = frozenset({"user_id", "key_id", "request_id", "quota_request_id", "access_request_id"})
"""Objects that a reach of one user tells apart; the others belong to the org, or to nobody."""
OF_AN_ORG = OF_A_USER | {"org", "invite_id", "service_account_id", "approval_rule_id"}
"""Objects that a reach of one org hides when they are another's."""


async def make_tenant(engine: AsyncEngine) -> Tenant:
    """Make one in one transaction."""
    tenant = Tenant()
    statements: list[Insert] = [
        insert(orgs).values(id=tenant.org_id, slug=tenant.slug, name="A tenant"),
        _budget("org", tenant.org_id, tenant.org_id, None),
        insert(invites).values(_invite(tenant)),
        insert(users).values(id=tenant.system_admin_id, username=f"root-{tenant.system_admin_id}", role=Role.SYSTEM_ADMIN),
        insert(users).values(id=tenant.service_account_id, org_id=tenant.org_id, username=f"service:{tenant.org_id}:pipeline", role=Role.SERVICE),
    ]
    for who, role in ((Role.ORG_ADMIN, Role.ORG_ADMIN), (Role.ORG_USER, Role.ORG_USER), ("colleague", Role.ORG_USER)):
        user_id, key_id, api_key = new_id(), new_id(), new_key("live")
        owner = Owner(user_id, key_id, f"request-{user_id}")
        credential = {"credential_id": api_key.credential_id, "key_id": key_id, "digest": b"d" * 32, "pepper_version": 1, "hint": api_key.hint}
        statements += [
            insert(users).values(id=user_id, org_id=tenant.org_id, username=f"u-{user_id}", role=role, password_hash=PASSWORD_HASH),
            insert(keys).values(id=key_id, org_id=tenant.org_id, user_id=user_id, name="a key"),
            insert(credentials).values(credential),
            insert(sessions).values(id=owner.session_id, user_id=user_id, kind="token", generation=0, expires_at=_tomorrow()),
            _budget("user", user_id, tenant.org_id, user_id),
            _budget("key", key_id, tenant.org_id, user_id),
            insert(ledger).values(_request(tenant, owner)),
            insert(quota_requests).values(_quota_request(tenant, owner)),
        ]
        tenant.people[who] = owner
    statements += _refused(tenant)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(statement)
    return tenant


async def make_models(engine: AsyncEngine, tenant: Tenant) -> None:
    """Put a published model, its backend and a spare one in place, whatever happened to those before."""
    backend_id, publication_id = new_id(), new_id()
    engine_of = {"base_url": "http://127.0.0.1:9", "kind": "openai", "health": "healthy", "checked_at": datetime.now(UTC)}
    publication = {"id": publication_id, "model": "served-model", "org_id": tenant.org_id, "model_type": "openai", "backend_id": backend_id}
    publication |= {"upstream_model": "served-model", "external_path": f"/models/{publication_id}", "status": "published"}
    async with engine.begin() as connection:
        await connection.execute(publications.update().values(status="deleted"))
        await connection.execute(backends.update().where(backends.c.name.in_(["gpu-pool", "spare-pool"])).values(status="deleted"))
        for row_id, name, models in ((backend_id, "gpu-pool", MODELS), (new_id(), "spare-pool", [])):
            await connection.execute(insert(backends).values(id=row_id, name=name, models=models, **engine_of))
        now = datetime.now(UTC)
        known = {"id": tenant.catalog_model_id, "backend_id": backend_id, "upstream_model": MODELS[0], "first_seen_at": now, "last_seen_at": now}
        await connection.execute(insert(catalog_models).values(known))
        await connection.execute(insert(publications).values(publication))
        await connection.execute(insert(publication_tenants).values(publication_id=publication_id, org_id=tenant.org_id))
        owner = {"org_id": tenant.org_id, "user_id": tenant.people[Role.ORG_ADMIN].user_id}
        await connection.execute(insert(keys).values(id=new_id(), **owner, name="its key", publication_id=publication_id))


def _refused(tenant: Tenant) -> list[Insert]:
    """Two models of a backend of their own, which the admin has rejected; everybody asks for the first. And a rule."""
    backend_id, now = new_id(), datetime.now(UTC)
    admin = tenant.people[Role.ORG_ADMIN].user_id
    statements = [insert(backends).values(id=backend_id, name=tenant.slug, base_url="http://127.0.0.1:9", kind="openai", health="healthy")]
    for number, model_id in enumerate(tenant.refused_model_ids):
        model = {"id": model_id, "backend_id": backend_id, "upstream_model": f"refused-{number}", "first_seen_at": now, "last_seen_at": now}
        decision = {"org_id": tenant.org_id, "catalog_model_id": model_id, "state": "rejected", "decided_by": admin, "decided_at": now}
        statements += [insert(catalog_models).values(model), insert(model_approvals).values(decision)]
    for owner in tenant.people.values():
        ids = {"id": owner.access_request_id, "org_id": tenant.org_id, "user_id": owner.user_id, "catalog_model_id": tenant.refused_model_ids[0]}
        statements.append(insert(access_requests).values(**ids, reason="work", expires_at=now + timedelta(days=1)))
    rule = {"id": tenant.approval_rule_id, "org_id": tenant.org_id, "backend_id": backend_id, "pattern": "refused-*"}
    return [*statements, insert(approval_rules).values(rule)]


def _invite(tenant: Tenant) -> dict[str, Any]:
    """Sent long enough ago to be sent again."""
    now = datetime.now(UTC)
    times = {"sent_at": now - timedelta(hours=1), "expires_at": now + timedelta(days=1)}
    return {"id": tenant.invite_id, "org_id": tenant.org_id, "email": "eve@example.com", "role": "org_user", "token_hash": os.urandom(32), **times}


def _tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def _budget(scope: str, subject_id: UUID, org_id: UUID, user_id: UUID | None) -> Insert:
    ceiling = 2_000_000 if scope == "org" else None
    values = {"subject_id": subject_id, "period": "month", "scope": scope, "org_id": org_id, "user_id": user_id}
    return insert(budgets).values(**values, tokens=1_000_000, ceiling_tokens=ceiling)


def _quota_request(tenant: Tenant, owner: Owner) -> dict[str, Any]:
    """The user asks for a larger budget of the own key."""
    ids = {"id": owner.quota_request_id, "org_id": tenant.org_id, "user_id": owner.user_id, "subject_id": owner.key_id}
    expires_at = datetime.now(UTC) + timedelta(days=1)
    return {**ids, "scope": "key", "kind": "budget", "name": "month", "amount": 2_000_000, "reason": "more", "expires_at": expires_at}


def _request(tenant: Tenant, owner: Owner) -> dict[str, Any]:
    now = datetime.now(UTC)
    amounts = dict.fromkeys(("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "held_tokens", "duration_ms"), 1)
    texts = {"model": "m", "upstream_model": "m", "endpoint": "chat_completions", "outcome": "complete", "usage_source": "reported"}
    ids = {"event_id": new_id(), "org_id": tenant.org_id, "user_id": owner.user_id, "key_id": owner.key_id, "publication_id": new_id()}
    times = {"admitted_at": now, "ended_at": now}
    return {**amounts, **texts, **ids, **times, "stream": False, "http_status": 200, "request_id": owner.request_id, "tags": {}}
