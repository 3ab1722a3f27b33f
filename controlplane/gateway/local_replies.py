"""Envoy's own replies in our shape: `local_reply_config.mappers`, rendered from the error catalogue. The first match wins.

Each is there three times: on some paths errors have Anthropic's or KServe's shape (`ias.error_shapes`), everywhere else OpenAI's.

Only replies that Envoy makes itself pass here, never an engine's. extauth's denials and extproc's immediate responses
carry their own body and must pass untouched. They are told from failures of extauth and extproc by the code details:
a failure of extauth carries extauth's response flag too, an immediate response its own `details` (Envoy 1.40).
`%RESPONSE_CODE_DETAILS%` is never printed: it holds socket paths and addresses.
"""

import json
from typing import Any

from ias import errors, headers
from ias.error_shapes import SHAPED_TARGETS, TRADITIONAL_TARGETS, Shape
from ias.errors import ApiError

Json = dict[str, Any]

PROCESSOR_DETAILS = "ias_"
"""How the `details` of extproc's immediate responses begin; others lose their body to Envoy's reply for the status."""

_PATH_SHOWN = 256


def local_reply_mappers(max_body_bytes: int) -> list[Json]:
    """Return the mappers; `max_body_bytes` is the limit that a 413 names."""
    model = f"%REQ({headers.MODEL})%"
    path = f"%PATH(NQ:PATH):{_PATH_SHOWN}%"
    return [
        *_mappers(_cel('response.code_details == "ext_authz_error"'), errors.service_unavailable("The authorization service")),
        {"filter": _flags("UAEX")},
        *_mappers(_cel('response.code_details.startsWith("ext_proc_error")'), errors.service_unavailable("The metering service"), admitted=True),
        {"filter": _cel(f'response.code_details.startsWith("{PROCESSOR_DETAILS}")')},
        *_mappers(_cel('response.code_details == "overload"'), errors.service_unavailable("The gateway")),
        # A rate limit of the gateway's own; extauth's have a body.
        *_mappers(_flags("RL"), errors.rate_limited("requests", "requests to this model at the gateway", 1_000), admitted=True),
        # Idle stream and longest stream: by then the request had arrived, see stream_idle_timeout in envoy/bootstrap.yaml.
        *_mappers(_flags("SI", "DT", "UT"), errors.upstream_timeout(), admitted=True),
        *_mappers(_all(_status("EQ", 404), _has_header(headers.MODEL)), errors.model_not_found(model), admitted=True),
        *_mappers(_status("EQ", 404), errors.unknown_url("%REQ(:METHOD)%", path)),
        *(mapper for error in _by_status(max_body_bytes) for mapper in _mappers(_status("EQ", error.status), error)),
        *_mappers(_status("EQ", 503), errors.service_unavailable("The model"), admitted=True),
        *_mappers(_status("EQ", 504), errors.upstream_timeout(), admitted=True),
        # An engine that speaks broken HTTP is 502 to Envoy; to the client it is as unavailable as one that is down.
        *_mappers(_status("EQ", 502), errors.service_unavailable("The model"), admitted=True),
        *_mappers(_status("EQ", 501), errors.malformed_request()),  # an unknown transfer-encoding
        *_mappers(_status("GE", 500), errors.internal_error()),
        *_mappers(_status("GE", 400), errors.malformed_request()),
    ]


def _by_status(max_body_bytes: int) -> tuple[ApiError, ...]:
    return (
        errors.malformed_request(),
        errors.invalid_api_key(),
        errors.upgrade_refused(),
        errors.request_timeout(),
        errors.request_too_large(max_body_bytes),
        errors.http_version_too_old(),
        errors.headers_too_large(),
    )


def _mappers(when: Json, error: ApiError, *, admitted: bool = False) -> list[Json]:
    """`admitted`: extauth has let the request pass, so that its path tells of a traditional model."""
    targets = TRADITIONAL_TARGETS if admitted else SHAPED_TARGETS
    shaped = [_mapper(_all(_target(pattern), *_parts(when)), error, shape) for shape, pattern in targets.items()]
    return [*shaped, _mapper(when, error, Shape.OPENAI)]


def _mapper(when: Json, error: ApiError, shape: Shape) -> Json:
    return {
        "filter": when,
        "status_code": error.status,
        "headers_to_add": [
            *({"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"} for name, value in error.headers),
            # What is refused before it got its id gets one of the answer's own.
            {"header": {"key": headers.REQUEST_ID, "value": "%UNIQUE_ID%"}, "append_action": "ADD_IF_ABSENT"},
        ],
        "body_format_override": {
            "content_type": "application/json",
            "json_format": json.loads(error.shaped(shape)),
        },
    }


def _status(operator: str, code: int) -> Json:
    # Envoy demands a runtime key; nothing sets it.
    comparison = {"op": operator, "value": {"default_value": code, "runtime_key": f"ias.local_reply.{operator.lower()}.{code}"}}
    return {"status_code_filter": {"comparison": comparison}}


def _flags(*flags: str) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


def _has_header(name: str) -> Json:
    return {"header_filter": {"header": {"name": name, "present_match": True}}}


def _target(pattern: str) -> Json:
    return {"header_filter": {"header": {"name": ":path", "string_match": {"safe_regex": {"regex": pattern}}}}}


def _parts(when: Json) -> list[Json]:
    """The filters that must all match: Envoy's `and_filter` may hold another, but one list reads better."""
    return list(when["and_filter"]["filters"]) if "and_filter" in when else [when]


def _all(*filters: Json) -> Json:
    return {"and_filter": {"filters": list(filters)}}


def _cel(expression: str) -> Json:
    config = {"@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", "expression": expression}
    return {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": config}}
