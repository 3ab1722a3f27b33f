"""What the decision lets pass: the bridge from a request to admission, and from admission to the signed context. Pure."""

import msgspec

from extauth.hold import Plan
from ias import context as contexts
from ias.context import RequestContext
from ratelimit.ports import Admission, Limit


class Passage(msgspec.Struct, frozen=True):
    """The request may pass if its limits let it: the context to sign then, still without what admission decides."""

    context: RequestContext
    limits: tuple[Limit, ...]
    plan: Plan
    grace_tokens: int

    def admission(self, entropy: int, *, asks_learned: bool = True) -> Admission:
        """What to ask the admission store; with `asks_learned` also what earlier requests to the publication taught."""
        context = self.context
        return Admission(
            context.org_id,
            entropy,
            self.limits,
            contexts.encode(context),
            tokens=self.plan.hold,
            user_id=context.user_id,
            key_id=context.key_id,
            publication_id=context.publication_id if asks_learned else "",
        )

    def admitted(self, reservation_id: str, held_tokens: int, in_store: bool, now_ms: int) -> RequestContext:
        """The context to sign: `held_tokens` is what the store held."""
        grant = self.plan.grant(held_tokens)
        return msgspec.structs.replace(
            self.context,
            reservation_id=reservation_id,
            signed_at_ms=now_ms,
            in_store=in_store,
            held_tokens=grant.held_tokens,
            prompt_tokens=grant.prompt_tokens,
            output_cap=grant.output_cap,
            top_up_tokens=grant.top_up_tokens,
        )
