"""The decision on one request: the steps of design §2.2 in order. Pure; what a step refuses is raised as ApiError."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from extauth import grpc_inference
from extauth.access import check_protocol, find_model, list_models
from extauth.client_address import client_address
from extauth.credential import presented_key
from extauth.estimate import estimate
from extauth.hold import NO_TOKENS, plan
from extauth.incoming import Incoming
from extauth.kserve import about_server
from extauth.learned import LearnedValues
from extauth.operation import Operation, engine_target, find_operation
from extauth.passage import Passage
from extauth.publications import PublicationIndex, Published
from extauth.records import KnownCredential
from extauth.request import parse_request
from extauth.tags import parse_tags
from ias import headers as names
from ias.apikeys import ApiKey
from ias.context import AdmissionMode, RequestContext, SigningKeys
from ias.endpoints import TOKENLESS, Endpoint
from ias.errors import invalid_api_key, invalid_request, request_too_large, service_unavailable, unsupported_encoding
from ias.gateway_views import ModelType, Publication
from ias.tags import merged
from ratelimit.ports import Unit

MAX_TARGET_LENGTH = 2_048
_LENIENT = AdmissionMode.LENIENT
_PATH_NAMES_MODEL = TOKENLESS | {Endpoint.MODELS}
_USAGE_IS_OPTIONAL = frozenset({Endpoint.CHAT_COMPLETIONS, Endpoint.COMPLETIONS})
"""Streams of the other endpoints always end with their usage."""


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
    visitor_requests_per_minute: int = 60
    """From one network to one publication that needs no key."""
    shadow: bool = False
    """extproc only watches: nothing can be written into a request and no answer ended, so that only the lenient mode is possible."""


def identify(incoming: Incoming, publications: PublicationIndex) -> tuple[Operation, ApiKey | None]:
    """Steps 1 and 2: what is asked for, and by which key; None: by nobody, and the publication that is named may take it."""
    operation = _call(incoming) or find_operation(incoming.method, incoming.target, publications, incoming.host)
    if (key := presented_key(incoming.headers)) is None and _visited(operation, publications, incoming.host) is None:
        raise invalid_api_key()
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


def visitor(operation: Operation, publications: PublicationIndex, host: str) -> KnownCredential:
    """Step 3 of a request without a credential; raise `invalid_api_key` where one is needed."""
    if (published := _visited(operation, publications, host)) is None or published.visitor is None:
        raise invalid_api_key()
    return published.visitor.known


def answer_here(incoming: Incoming, operation: Operation, known: KnownCredential, publications: PublicationIndex) -> bytes | None:
    """What no engine is asked for: lists and objects of models, as far as the key may use them, and the gateway about itself. None: all else."""
    if operation.endpoint is Endpoint.KSERVE_V2_SERVER:
        return about_server(incoming.target.partition("?")[0])
    if operation.endpoint is not Endpoint.MODELS:
        return None
    credential = known.credential
    if operation.model is None:
        listings = [published.listing for published in list_models(publications, credential.org_id, credential.allowed_models, incoming.host)]
        return b'{"object":"list","data":[' + b",".join(listings) + b"]}"
    published = find_model(publications, operation.model, credential.org_id, credential.allowed_models, incoming.host)
    return published.listing if published.publication.model_type is ModelType.OPENAI else None


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
    if operation.endpoint in _PATH_NAMES_MODEL:
        return _decide_tokenless(incoming, operation, known, publications, policy, now_ms)
    request = parse_request(incoming.body, operation.endpoint, operation.model)
    credential = known.credential
    published = find_model(publications, request.model, credential.org_id, credential.allowed_models, incoming.host)
    check_protocol(published, operation.endpoint)
    publication = published.publication
    mode = _LENIENT if policy.shadow else credential.admission_mode or publication.admission_mode
    limits = known.limits_at(now_ms) + published.rules.at(now_ms)
    experience = learned.of(credential.org_id, publication.publication_id)
    estimated = estimate(request, operation.endpoint, publication.context_tokens, publication.output_cap or policy.output_cap, experience)
    context = _context(
        incoming,
        operation,
        known,
        publication,
        now_ms,
        model=request.model,
        stream=request.stream,
        add_usage=request.stream and not request.include_usage and operation.endpoint in _USAGE_IS_OPTIONAL,
        mode=mode,
        choices=request.choices,
        body_bytes=0 if request.media else request.body_bytes,  # media would teach a wrong ratio of tokens to bytes
        continuous_usage=publication.continuous_usage,
        writes_model=operation.model is not None,
    )
    return Passage(context, limits, plan(mode, estimated, limits, request.stream, policy.top_up_tokens), credential.outage_tokens)


def _decide_tokenless(
    incoming: Incoming, operation: Operation, known: KnownCredential, publications: PublicationIndex, policy: Policy, now_ms: int
) -> Passage:
    """The same for a model without tokens: the path says everything, the body is the engine's, and only requests are limited."""
    model = operation.model or ""
    if operation.in_message and not model:
        raise invalid_request("The message names no model, or is compressed, or cannot be read.", "model")
    if operation.endpoint is Endpoint.MODELS:  # it was not ours to answer
        operation = msgspec.structs.replace(operation, endpoint=Endpoint.KSERVE_V1_STATUS)
    credential = known.credential
    published = find_model(publications, model, credential.org_id, credential.allowed_models, incoming.host)
    check_protocol(published, operation.endpoint)
    publication = published.publication
    if operation.in_message and publication.upstream_model != model:
        raise invalid_request(f"The model '{model}' has another name at its engine, so that it cannot be asked over gRPC.", "model")
    if published.visitor is not None and published.visitor.known is known:
        limits = published.visitor.limits_at(now_ms, client_address(incoming.headers), policy.visitor_requests_per_minute)
    else:
        limits = known.limits_at(now_ms) + published.rules.at(now_ms)
    context = _context(incoming, operation, known, publication, now_ms, model=publication.model, stream=False, add_usage=False)
    return Passage(context, tuple(limit for limit in limits if limit.unit is not Unit.TOKENS), NO_TOKENS, credential.outage_tokens)


def _context(incoming: Incoming, operation: Operation, known: KnownCredential, publication: Publication, now_ms: int, **asked: Any) -> RequestContext:
    """The context but for what admission decides; `asked` is what the body says."""
    credential = known.credential
    return RequestContext(
        reservation_id="",
        request_id=incoming.bound_request_id,
        path=engine_target(operation, publication.upstream_model, incoming.target),
        signed_at_ms=now_ms,
        org_id=credential.org_id,
        user_id=credential.user_id,
        key_id=credential.key_id,
        publication_id=publication.publication_id,
        upstream_model=publication.upstream_model,
        endpoint=operation.endpoint,
        tags=_tags(incoming, known),
        **asked,
    )


def _call(incoming: Incoming) -> Operation | None:
    """What a call of gRPC asks for; None for all else."""
    endpoint = grpc_inference.endpoint_of(incoming.method, incoming.target)
    return None if endpoint is None else Operation(endpoint, grpc_inference.model_in(incoming.body), in_message=True)


def _visited(operation: Operation, publications: PublicationIndex, host: str) -> Published | None:
    """The publication that takes this request without a key."""
    if operation.model is None or operation.endpoint not in _PATH_NAMES_MODEL:
        return None
    published = publications.find(operation.model, host)
    return published if published is not None and published.visitor is not None else None


def _tags(incoming: Incoming, known: KnownCredential) -> dict[str, str]:
    header = incoming.headers.get(names.TAGS)
    return merged(parse_tags(header) if header is not None else {}, known.credential.labels)


def _is_past(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now
