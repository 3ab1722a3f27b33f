"""What Envoy shows to engines that ask for a credential: HTTP filters of a cluster, which run when an engine was chosen. Pure.

Each credential is a secret that Envoy reads from a file of its own (SDS, `secret_files.py`): no cluster holds one, no configuration dump
shows one, and a new one changes no cluster. In a pool an engine gets its own credential and never another's, on a retry neither: Envoy tries
again with the headers of the try before, so the first filter removes what that one put there.

Envoy docs: `configuration/http/http_filters/credential_injector_filter`, `upstream_filters`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from controlplane.gateway.ports import GatewayBackend

Json = dict[str, Any]

ENDPOINT_METADATA = "ias"
"""Names the backend of an endpoint, where a pool has credentials."""

_TYPE = "type.googleapis.com/envoy.extensions."
_HEADER = "authorization"
_TARGET = "x-ias-target"
"""Carries the chosen backend from the first filter to the others; the last one removes it, and clients cannot send it."""


def secret_name(credential: str) -> str:
    """Return the name of the secret, which has nothing of the credential but its own name."""
    return f"credential-{credential}"


def secret_file(directory: Path, credential: str) -> Path:
    """Return the file that Envoy reads a secret from."""
    return directory / f"{secret_name(credential)}.json"


def engine_filters(credential: str, secrets: Path) -> list[Json]:
    """Return the filters of a cluster that has one engine; none without a credential."""
    return [_injector(credential, secrets), _CODEC] if credential else []


def pool_filters(backends: Iterable[GatewayBackend], secrets: Path) -> list[Json]:
    """Return the filters of a cluster that has these engines; none where no engine asks for a credential."""
    asking = sorted((backend for backend in backends if backend.credential), key=lambda backend: backend.backend_id)
    if not asking:
        return []
    target = {"header": {"key": _TARGET, "value": f"%UPSTREAM_METADATA({ENDPOINT_METADATA}:backend)%"}}
    marked = _mutation({"remove": _HEADER}, {"append": {**target, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}})
    return [marked, *(_only_for(backend, secrets) for backend in asking), _mutation({"remove": _TARGET}), _CODEC]


def endpoint_metadata(backend_id: str) -> Json:
    """Return the metadata that tells the filters which backend an endpoint is of."""
    return {ENDPOINT_METADATA: {"backend": backend_id}}


_CODEC: Json = {
    "name": "envoy.filters.http.upstream_codec",
    "typed_config": {"@type": _TYPE + "filters.http.upstream_codec.v3.UpstreamCodec"},
}


def _injector(credential: str, secrets: Path) -> Json:
    generic = {
        "@type": _TYPE + "http.injected_credentials.generic.v3.Generic",
        "header": _HEADER,
        "header_value_prefix": "Bearer ",
        "credential": {
            "name": secret_name(credential),
            "sds_config": {"resource_api_version": "V3", "path_config_source": {"path": str(secret_file(secrets, credential))}},
        },
    }
    return {
        "name": "envoy.filters.http.credential_injector",
        "typed_config": {
            "@type": _TYPE + "filters.http.credential_injector.v3.CredentialInjector",
            "overwrite": True,
            # Without its credential no request goes out.
            "allow_request_without_credential": False,
            "credential": {"name": "envoy.http.injected_credentials.generic", "typed_config": generic},
        },
    }


def _only_for(backend: GatewayBackend, secrets: Path) -> Json:
    """The injector of one backend, left out for requests that go to another."""
    match_input = {
        "name": "target",
        "typed_config": {"@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": _TARGET},
    }
    another = {"not_matcher": {"single_predicate": {"input": match_input, "value_match": {"exact": backend.backend_id}}}}
    skip = {"name": "skip", "typed_config": {"@type": _TYPE + "filters.common.matcher.action.v3.SkipFilter"}}
    return {
        "name": f"credential-of-{backend.backend_id}",
        "typed_config": {
            "@type": _TYPE + "common.matching.v3.ExtensionWithMatcher",
            "extension_config": _injector(backend.credential, secrets),
            "xds_matcher": {"matcher_list": {"matchers": [{"predicate": another, "on_match": {"action": skip}}]}},
        },
    }


def _mutation(*mutations: Json) -> Json:
    config = {"@type": _TYPE + "filters.http.header_mutation.v3.HeaderMutation", "mutations": {"request_mutations": list(mutations)}}
    return {"name": "envoy.filters.http.header_mutation", "typed_config": config}
