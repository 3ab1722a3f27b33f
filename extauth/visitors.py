"""Requests without a key, where a publication takes them: they are its owner's, and limited three times over. Pure.

All visitors of a publication together have what it grants one org, in a bucket of their own; each network they come from has a share
that the operator sets; and the owner's limits hold for them as for its keys. They reach no other model: a visitor has no key
that could be allowed more.
"""

from dataclasses import dataclass

from extauth.client_address import network_of
from extauth.limits import Rules, network_limit, visitor_rules
from extauth.records import KnownCredential
from ias.gateway_views import Credential, ModelType, Publication
from ias.ids import NOBODY
from ratelimit.ports import Limit


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who comes to one publication without a key."""

    known: KnownCredential
    """Stands where a key's record would: of the owner, of no user and no key."""
    rules: Rules
    publication_id: str

    @classmethod
    def of(cls, publication: Publication) -> "Visitor | None":
        """None: a key is needed. That is so for every model with tokens, and when the owner is not active."""
        if publication.require_api_key or publication.model_type is not ModelType.TRADITIONAL or not publication.owner_active:
            return None
        credential = Credential(
            credential_id="",
            digest=b"",
            pepper_version=0,
            valid_until=None,
            key_id=NOBODY,
            key_active=True,
            key_expires_at=None,
            user_id=NOBODY,
            user_active=True,
            org_id=publication.owner_org_id,
            org_active=True,
            allowed_models=(),
            org_limits=publication.owner_limits,
        )
        known = KnownCredential.of(credential)
        return cls(known, visitor_rules(publication.publication_id, publication.model, publication.limits), publication.publication_id)

    def limits_at(self, now_ms: int, address: str | None, per_minute: int) -> tuple[Limit, ...]:
        """All limits of a request from an address; from one that is not known, those of the network of nowhere."""
        network = network_of(address or "") or "unknown"
        return (network_limit(self.publication_id, network, per_minute), *self.rules.at(now_ms), *self.known.limits_at(now_ms))
