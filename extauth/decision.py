"""The decision on one request: the steps of design §2.2 in order. Pure; what a step refuses is raised as ApiError."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from extauth.access import find_model, list_models
from extauth.credential import presented_key
from extauth.estimate import estimate
from extauth.hold import Plan, plan
from extauth.learned import LearnedValues
from extauth.operation import Operation, find_operation
from extauth.publications import PublicationIndex
from extauth.records import KnownCredential
from extauth.request import parse_request
from extauth.tags import parse_tags
from ias import context as contexts
from ias import headers as names
from ias.apikeys import ApiKey
from ias.context import AdmissionMode, RequestContext, SigningKeys
from ias.endpoints import Endpoint
from ias.errors import invalid_api_key, invalid_request, request_too_large, service_unavailable, unsupported_encoding
from ias.tags import merged
from ratelimit.ports import Admission, Limit

MAX_TARGET_LENGTH = 2_048
MAX_REQUEST_ID_LENGTH = 128
_LENIENT = AdmissionMode.LENIENT
_USAGE_IS_OPTIONAL = frozenset({Endpoint.CHAT_COMPLETIONS, Endpoint.COMPLETIONS})
"""Streams of the other endpoints always end with their usage."""


class Incoming(msgspec.Struct, frozen=True):
    """One request as Envoy tells it. `target` is path and query; header names are lower-case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def request_id(self) -> str:
        """The id that Envoy gave it; empty when Envoy is not set up to."""
        return self.headers.get(names.REQUEST_ID, "")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator configured."""

    peppers: Mapping[int, bytes]
    signing_keys: SigningKeys
    max_body_bytes: int
    output_cap: int = 4_096
    """Tokens of output to hold for, where neither the request nor the publication says how many."""
    top_up_tokens: int = 256
    """The step in which the hold of a stream grows."""
    shadow: bool = False
    """extproc only watches: nothing can be written into a request and no answer ended, so that only the lenient mode is possible."""


class Passage(msgspec.Struct, frozen=True):
    """The request may pass if its limits let it: the context to sign then, still without what admission decides."""

    context: RequestContext
    limits: tuple[Limit, ...]
    plan: Plan
    grace_tokens: int

    def admission(self, entropy: int) -> Admission:
        """What to ask the admission store."""
        context = self.context
        return Admission(
            context.org_id,
            entropy,
            self.limits,
            contexts.encode(context),
            tokens=self.plan.hold,
            user_id=context.user_id,
            key_id=context.key_id,
            publication_id=context.publication_id,
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


def identify(incoming: Incoming) -> tuple[Operation, ApiKey]:
    """Steps 1 and 2: what is asked for, and by which key. No state is needed."""
    operation = find_operation(incoming.method, incoming.target)
    key = presented_key(incoming.headers)
    if len(incoming.target) > MAX_TARGET_LENGTH:
        raise invalid_request(f"The request URL is longer than {MAX_TARGET_LENGTH} characters.", code="url_too_long")
    return operation, key


def authenticate(key: ApiKey, known: KnownCredential | None, peppers: Mapping[int, bytes], now: datetime) -> KnownCredential:
    """Steps 2 and 3: the key is the one we know, and key, user and org are active. One error for all that is wrong."""
    if known is None:
        raise invalid_api_key()
    credential = known.credential
    if (pepper := peppers.get(credential.pepper_version)) is None:
        raise service_unavailable("Authentication")  # the key may be good: it is our configuration that lacks the pepper
    valid = key.matches(credential.digest, pepper)
    active = credential.key_active and credential.user_active and credential.org_active
    if not (valid and active) or _is_past(credential.valid_until, now) or _is_past(credential.key_expires_at, now):
        raise invalid_api_key()
    return known


def answer_models(operation: Operation, known: KnownCredential, publications: PublicationIndex) -> bytes:
    """`GET /v1/models` and `GET /v1/models/{model}`: what the key may use, as OpenAI's JSON."""
    credential = known.credential
    if operation.model is not None:
        return find_model(publications, operation.model, credential.org_id, credential.allowed_models).listing
    listings = [published.listing for published in list_models(publications, credential.org_id, credential.allowed_models)]
    return b'{"object":"list","data":[' + b",".join(listings) + b"]}"


def decide(
    incoming: Incoming,
    operation: Operation,
    known: KnownCredential,
    publications: PublicationIndex,
    learned: LearnedValues,
    policy: Policy,
    now_ms: int,
) -> Passage:
    """Steps 4 and 5 of an inference request: what is asked of which model, whether this key may, and what it will take."""
    if (encoding := incoming.headers.get("content-encoding", "identity").strip().lower()) != "identity":
        raise unsupported_encoding(encoding[:64])
    if len(incoming.body) > policy.max_body_bytes:
        raise request_too_large(policy.max_body_bytes)
    request = parse_request(incoming.body, operation.endpoint)
    header = incoming.headers.get(names.TAGS)
    credential = known.credential
    tags = merged(parse_tags(header) if header is not None else {}, credential.labels)
    published = find_model(publications, request.model, credential.org_id, credential.allowed_models)
    publication = published.publication
    mode = _LENIENT if policy.shadow else credential.admission_mode or publication.admission_mode
    limits = known.limits_at(now_ms) + published.rules.at(now_ms)
    experience = learned.of(credential.org_id, publication.publication_id)
    estimated = estimate(request, operation.endpoint, publication.context_tokens, publication.output_cap or policy.output_cap, experience)
    context = RequestContext(
        reservation_id="",
        request_id=_bound_request_id(incoming),
        path=incoming.target,
        signed_at_ms=now_ms,
        org_id=credential.org_id,
        user_id=credential.user_id,
        key_id=credential.key_id,
        publication_id=publication.publication_id,
        model=request.model,
        upstream_model=publication.upstream_model,
        endpoint=operation.endpoint,
        stream=request.stream,
        add_usage=request.stream and not request.include_usage and operation.endpoint in _USAGE_IS_OPTIONAL,
        tags=tags,
        mode=mode,
        choices=request.choices,
        body_bytes=0 if request.media else request.body_bytes,  # media would teach a wrong ratio of tokens to bytes
        continuous_usage=publication.continuous_usage,
    )
    return Passage(context, limits, plan(mode, estimated, limits, request.stream, policy.top_up_tokens), credential.outage_tokens)


def _bound_request_id(incoming: Incoming) -> str:
    """The context is bound to the id, so without one nothing passes."""
    if not incoming.request_id:
        raise service_unavailable("The gateway")
    if len(incoming.request_id) > MAX_REQUEST_ID_LENGTH:
        raise invalid_request(f"The header x-request-id is longer than {MAX_REQUEST_ID_LENGTH} characters.", code="request_id_too_long")
    return incoming.request_id


def _is_past(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now
