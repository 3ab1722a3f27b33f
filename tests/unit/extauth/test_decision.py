"""The steps in order: what each refuses, and what comes out at the end."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from extauth.decision import MAX_TARGET_LENGTH, answer_here, authenticate, decide, identify
from extauth.incoming import Incoming
from extauth.learned import LearnedValues
from extauth.operation import Operation
from extauth.passage import Passage
from extauth.publications import PublicationIndex
from ias.apikeys import new_key
from ias.context import AdmissionMode, RequestContext, decode
from ias.endpoints import Endpoint
from ias.errors import ApiError
from ias.gateway_views import ScopeLimits
from ratelimit.ports import Learned
from tests.support.checks import CHAT
from tests.unit.extauth.world import KEY, NOW, PEPPERS, POLICY, incoming, index, known, publication

PUBLICATIONS = index(publication(limits=ScopeLimits(requests_per_minute=60, burst_limit=10)))


def passage(request: Incoming, publications: PublicationIndex = PUBLICATIONS, learned: LearnedValues | None = None, **changes: Any) -> Passage:
    operation, _ = identify(request, publications)
    return decide(request, operation, known(**changes), publications, learned or LearnedValues(1), POLICY, now_ms=1)


def refused(request: Incoming, **changes: Any) -> tuple[int, str]:
    with pytest.raises(ApiError) as error:
        passage(request, **changes)
    return error.value.status, error.value.code


def test_everything_right() -> None:
    body = CHAT[:-1] + b',"stream":true}'
    result = passage(incoming(body, x_request_tags="team=a"), key_limits=ScopeLimits(requests_per_minute=5))
    assert result.context == RequestContext(
        reservation_id="",
        request_id="req-1",
        path="/v1/chat/completions",
        signed_at_ms=1,
        org_id="org-1",
        user_id="user-1",
        key_id="key-1",
        publication_id="pub-small",
        model="small",
        upstream_model="engine/small",
        endpoint=Endpoint.CHAT_COMPLETIONS,
        stream=True,
        add_usage=True,
        tags={"team": "a"},
        body_bytes=len(body),
    )
    assert [(limit.bucket, limit.refill, limit.period_ms, limit.capacity) for limit in result.limits] == [
        ("key:key-1:rpm", 5, 60_000, 5),
        ("pub:pub-small:rpm", 60, 60_000, 10),
    ]


def test_the_labels_of_the_key_are_tags_of_its_requests() -> None:
    assert passage(incoming(), labels={"team": "search"}).context.tags == {"team": "search"}
    assert passage(incoming(x_request_tags="team=mine,run=1"), labels={"team": "search"}).context.tags == {"team": "search", "run": "1"}


def test_all_limits_of_key_user_org_and_publication_are_met() -> None:
    limits = ScopeLimits(tokens_per_minute=1_000)
    result = passage(incoming(), index(publication(limits=limits)), key_limits=limits, user_limits=limits, org_limits=limits)
    assert [limit.bucket for limit in result.limits] == ["key:key-1:tpm", "user:user-1:tpm", "org:tpm", "pub:pub-small:tpm"]


@pytest.mark.parametrize(
    ("of_org", "of_publication", "mode"),
    [
        (None, AdmissionMode.BALANCED, AdmissionMode.BALANCED),
        (None, AdmissionMode.LENIENT, AdmissionMode.LENIENT),
        (AdmissionMode.STRICT, AdmissionMode.LENIENT, AdmissionMode.STRICT),
    ],
)
def test_the_mode_of_the_org_goes_before_that_of_the_publication(
    of_org: AdmissionMode | None, of_publication: AdmissionMode, mode: AdmissionMode
) -> None:
    result = passage(incoming(), index(publication(admission_mode=of_publication)), admission_mode=of_org)
    assert (result.context.mode, result.plan.mode) == (mode, mode)


def test_where_extproc_only_watches_every_request_is_lenient() -> None:
    operation, _ = identify(incoming(), PUBLICATIONS)
    record = known(admission_mode=AdmissionMode.STRICT, org_limits=ScopeLimits(tokens_per_minute=100_000))
    result = decide(incoming(), operation, record, PUBLICATIONS, LearnedValues(1), replace(POLICY, shadow=True), now_ms=1)
    assert (result.context.mode, result.plan.output_cap, result.plan.step) == (AdmissionMode.LENIENT, 0, 0)


def test_what_is_asked_of_the_store() -> None:
    result = passage(incoming(), key_limits=ScopeLimits(tokens_per_minute=100_000), outage_tokens=7)
    admission = result.admission(entropy=5)
    assert (admission.org_id, admission.user_id, admission.key_id, admission.publication_id) == ("org-1", "user-1", "key-1", "pub-small")
    assert (admission.tokens, admission.limits, admission.reservation_entropy) == (result.plan.hold, result.limits, 5)
    assert decode(admission.claim, "") == result.context
    assert result.grace_tokens == 7


def test_what_was_held_goes_into_the_context() -> None:
    body = CHAT[:-1] + b',"max_tokens":10}'
    result = passage(incoming(body), key_limits=ScopeLimits(tokens_per_minute=100_000))
    held = result.plan.hold.full
    context = result.admitted("r", held, in_store=False, now_ms=9)
    assert (context.reservation_id, context.signed_at_ms, context.in_store) == ("r", 9, False)
    assert (context.held_tokens, context.prompt_tokens, context.output_cap, context.top_up_tokens) == (held, held - 10, 0, 0)


def test_an_org_is_estimated_by_its_own_past() -> None:
    learned = LearnedValues(10)
    learned.note("org-1", "pub-small", Learned(tokens_per_kilobyte=100, output_tokens=9, samples=1_000))
    limits = ScopeLimits(tokens_per_minute=10_000)
    new, old = (passage(incoming(), learned=values, key_limits=limits).plan.prompt for values in (LearnedValues(1), learned))
    assert old == -(-len(CHAT) * 100 // 1000) < new


def test_the_publication_says_what_its_engine_can() -> None:
    able = index(publication(continuous_usage=True, context_tokens=100, output_cap=50, admission_mode=AdmissionMode.STRICT))
    result = passage(incoming(), able, key_limits=ScopeLimits(tokens_per_minute=10_000))
    assert result.context.continuous_usage
    assert result.plan.hold.full == 100, "never above the context"
    assert result.plan.output_cap == 50


def test_media_teach_nothing_about_text() -> None:
    part = b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]'
    body = b'{"model":"small","messages":[{"role":"user","content":' + part + b"}]}"
    assert passage(incoming(body)).context.body_bytes == 0


@pytest.mark.parametrize(
    ("path", "body", "endpoint"),
    [
        ("/v1/responses", b'{"model":"small","input":"Hi","stream":true}', Endpoint.RESPONSES),
        ("/v1/messages", b'{"model":"small","max_tokens":5,"messages":[],"stream":true}', Endpoint.MESSAGES),
    ],
)
def test_streams_that_always_tell_their_usage_are_not_asked_for_it(path: str, body: bytes, endpoint: Endpoint) -> None:
    context = passage(incoming(body, target=path)).context
    assert (context.endpoint, context.stream, context.add_usage) == (endpoint, True, False)


@pytest.mark.parametrize(
    ("more", "add_usage"),
    [
        (b"", False),
        (b',"stream":true', True),
        (b',"stream":true,"stream_options":{}', True),
        (b',"stream":true,"stream_options":{"include_usage":false}', True),
        (b',"stream":true,"stream_options":{"include_usage":true}', False),
        (b',"stream":false,"stream_options":{"include_usage":true}', False),
    ],
)
def test_usage_is_added_to_streams_that_did_not_ask_for_it(more: bytes, add_usage: bool) -> None:
    assert passage(incoming(CHAT[:-1] + more + b"}")).context.add_usage is add_usage


def test_the_context_is_bound_to_the_whole_target() -> None:
    assert passage(incoming(target="/v1/chat/completions?a=b")).context.path == "/v1/chat/completions?a=b"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (incoming(target="/metrics"), (404, "unknown_url")),
        (incoming(target="/v1/chat/completions?" + "x" * MAX_TARGET_LENGTH), (400, "url_too_long")),
        (incoming(authorization="Bearer x"), (401, "invalid_api_key")),
        (incoming(content_encoding="gzip"), (415, "unsupported_encoding")),
        (incoming(content_encoding="identity, br"), (415, "unsupported_encoding")),
        (incoming(body=b" " * 1_001), (413, "request_too_large")),
        (incoming(body=b"x"), (400, "invalid_json")),
        (incoming(x_request_tags="team"), (400, "invalid_tags")),
        (incoming(body=b'{"model":"large"}'), (404, "model_not_found")),
        (incoming(x_request_id=""), (503, "service_unavailable")),
        (incoming(x_request_id="x" * 129), (400, "request_id_too_long")),
    ],
)
def test_what_each_step_refuses(request_: Incoming, expected: tuple[int, str]) -> None:
    assert refused(request_) == expected


def test_identity_is_no_encoding() -> None:
    assert passage(incoming(content_encoding="Identity")).context.model == "small"


def test_a_key_that_may_not_use_the_model() -> None:
    assert refused(incoming(), allowed_models=("other-*",)) == (403, "model_not_allowed")


def test_an_unknown_path_is_told_before_a_wrong_key() -> None:
    assert refused(incoming(target="/metrics", authorization="")) == (404, "unknown_url")


SECOND = timedelta(seconds=1)


def test_a_good_key() -> None:
    record = known(valid_until=NOW + SECOND, key_expires_at=NOW + SECOND)
    assert authenticate(KEY, record, PEPPERS, NOW) is record


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": b"\0" * 32},
        {"key_active": False},
        {"user_active": False},
        {"org_active": False},
        {"valid_until": NOW},
        {"key_expires_at": NOW - SECOND},
        {"key": new_key()},
    ],
)
def test_one_error_for_all_that_is_wrong_with_a_key(changes: dict[str, Any]) -> None:
    errors = []
    for record in (known(**changes), None):
        with pytest.raises(ApiError) as error:
            authenticate(KEY, record, PEPPERS, NOW)
        errors.append((error.value.status, error.value.openai_body(), error.value.headers))
    assert errors[0] == errors[1]
    assert errors[0][0] == 401


def test_a_pepper_that_is_missing_is_our_fault_and_no_401() -> None:
    with pytest.raises(ApiError) as error:
        authenticate(KEY, known(pepper_version=2), PEPPERS, NOW)
    assert error.value.status == 503


def test_the_list_of_models() -> None:
    publications = index(publication("b"), publication("a"), publication("c", allowed_org_ids=("org-2",)))
    listed = msgspec.json.decode(answer_here(incoming(), Operation(Endpoint.MODELS), known(), publications))
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["a", "b"]
    narrow = msgspec.json.decode(answer_here(incoming(), Operation(Endpoint.MODELS), known(allowed_models=("b",)), publications))
    assert [model["id"] for model in narrow["data"]] == ["b"]


def test_one_model() -> None:
    publications = index(publication("a"), publication("b"))
    assert msgspec.json.decode(answer_here(incoming(), Operation(Endpoint.MODELS, "a"), known(), publications))["id"] == "a"
    for model, patterns, status in (("c", (), 404), ("b", ("a",), 403)):
        with pytest.raises(ApiError) as error:
            answer_here(incoming(), Operation(Endpoint.MODELS, model), known(allowed_models=patterns), publications)
        assert error.value.status == status
