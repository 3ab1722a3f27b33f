"""What the API's process holds for all requests; made in `controlplane.app`, found under `app.state.runtime`."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.accounts.passwords import Passwords
from controlplane.backends.ports import Probing
from controlplane.budgets.ports import BudgetCounters
from controlplane.client_address import Network
from controlplane.egress.ports import Egress
from controlplane.keys.pace import Pace
from controlplane.keys.rules import KeyRules
from controlplane.mail.ports import Mailer
from controlplane.mail.rules import Links
from controlplane.orgs.rules import NewOrgApproval

if TYPE_CHECKING:  # it builds on authorization, which builds on this module
    from controlplane.publishing.publisher import Publisher
    from controlplane.sign_in.service import Sessions


@dataclass(frozen=True, slots=True)
class Runtime:
    """Adapters and their settings."""

    engine: AsyncEngine
    sessions: "Sessions"
    passwords: Passwords
    trusted_proxies: tuple[Network, ...]
    org_grace: timedelta
    mailer: Mailer
    links: Links
    key_rules: KeyRules
    validation_pace: Pace
    egress: Egress
    probing: Probing
    counters: BudgetCounters
    publisher: "Publisher"
    new_org_approval: NewOrgApproval
    gateway_work: "GatewayWork" = ()


GatewayWork = tuple[Callable[[], Coroutine[Any, Any, None]], ...]
"""What runs beside requests to keep the gateway as it should be."""


async def runtime_of(request: Request) -> Runtime:
    """Return the process's runtime. A coroutine, as FastAPI has a thread run each dependency that is none."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeNow = Annotated[Runtime, Depends(runtime_of)]
"""For handlers that need more than their access."""
