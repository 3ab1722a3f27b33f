"""Envoy's rate limit filter with our Rate Limit Service, configured as Envoy Gateway does for a BackendTrafficPolicy of type Global."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from controlplane.gateway.bootstrap import BootstrapParams
from ias.transport import Call, UnaryMethod
from protos import SHOULD_RATE_LIMIT
from protos.ratelimit_pb2 import RateLimitRequest
from ratelimit.grpc_service import RateLimitService
from ratelimit.hits import HitRequest
from ratelimit.hits_local import LocalHits
from ratelimit.limit_rules import LimitRule, LimitUnit
from ratelimit.ports import LimitState
from ratelimit.replicas import ReplicaRegister, Replicas
from tests.dataplane.stand_ins import Engine, answer_status, serve
from tests.support.envoy import run_envoy
from tests.support.waiting import until

Json = dict[str, Any]
TYPES = "type.googleapis.com/envoy.extensions.filters"
THREE_A_DAY = LimitRule("requests of a tenant", "gw/*", (("httproute/*", "*"), ("rule-0-match-0", "*")), 3, LimitUnit.DAY)
ROUTE = "httproute/gw/r2/rule/0/match/0/*"


class OneProcess:
    """A store: one process with all of every limit."""

    def __init__(self) -> None:
        self.local = LocalHits()

    async def take(self, requests: Sequence[HitRequest]) -> list[tuple[LimitState, ...]]:
        return [self.local.take(request, 1, time.monotonic_ns() // 1_000_000) for request in requests]


@dataclass
class Limited:
    """The service behind an Envoy, what it was asked, and a client."""

    service: RateLimitService
    engine: Engine
    client: httpx2.AsyncClient = field(init=False)
    asked: list[RateLimitRequest] = field(default_factory=list)

    def handle(self, calls: Sequence[Call]) -> None:
        self.asked += [RateLimitRequest.FromString(call.message) for call in calls if b"\xff" not in call.message]
        self.service.handle(calls)

    async def get(self, tenant: str | bytes, path: str = "/requests") -> httpx2.Response:
        value = tenant if isinstance(tenant, bytes) else tenant.encode()
        return await self.client.get(path, headers=[(b"x-tenant", value)])


def actions() -> list[Json]:
    by_tenant = {"request_headers": {"header_name": "x-tenant", "descriptor_key": "rule-0-match-0"}}
    return [{"generic_key": {"descriptor_key": ROUTE, "descriptor_value": ROUTE}}, by_tenant]


def route(path: str, *limits: Json) -> Json:
    per_route = {"@type": f"{TYPES}.http.ratelimit.v3.RateLimitPerRoute", "rate_limits": list(limits)}
    return {"match": {"path": path}, "route": {"cluster": "engine"}, "typed_per_filter_config": {"envoy.filters.http.ratelimit": per_route}}


def cluster(name: str, address: Json, http2: bool) -> Json:
    made: Json = {"name": name, "type": "STATIC", "connect_timeout": "1s"}
    made["load_assignment"] = {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}
    if http2:
        options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        made["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": options, "explicit_http_config": {"http2_protocol_options": {}}}
        }
    return made


def configuration(socket: Path, engine_port: int) -> str:
    """Tokens: asked for with 0, the limit from metadata (ext_authz's part), charged at the end of the stream from metadata (ext_proc's part)."""
    limit = {"dynamic_metadata": {"metadata_key": {"key": "authz", "path": [{"key": "tpm"}]}}}
    asked = {"actions": actions(), "limit": limit, "hits_addend": {"number": 0}}
    charged = {"actions": actions(), "limit": limit, "hits_addend": {"format": "%DYNAMIC_METADATA(metering:tokens)%"}, "apply_on_stream_done": True}
    told = {"metadata_namespace": "metering", "key": "tokens", "type": "NUMBER"}
    filters = [
        (
            "set_metadata",
            "set_metadata.v3.Config",
            {"metadata": [{"metadata_namespace": "authz", "value": {"tpm": {"requests_per_unit": 100, "unit": "MINUTE"}}}]},
        ),
        ("header_to_metadata", "header_to_metadata.v3.Config", {"response_rules": [{"header": "x-tokens", "on_header_present": told}]}),
        (
            "ratelimit",
            "ratelimit.v3.RateLimit",
            {
                "domain": "gw/llm/http",
                "timeout": "2s",
                "failure_mode_deny": False,
                "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
                "rate_limit_service": {"transport_api_version": "V3", "grpc_service": {"envoy_grpc": {"cluster_name": "ratelimit"}}},
            },
        ),
        ("router", "router.v3.Router", {}),
    ]
    routes = [route("/requests", {"actions": actions()}), route("/tokens", asked, charged)]
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": f"{TYPES}.http.{kind}", **config}} for name, kind, config in filters
        ],
    }
    loopback = {"address": "127.0.0.1", "port_value": 0}
    listener = {
        "name": "gateway",
        "address": {"socket_address": loopback},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    }
    clusters = [
        cluster("ratelimit", {"pipe": {"path": str(socket)}}, http2=True),
        cluster("engine", {"socket_address": {"address": "127.0.0.1", "port_value": engine_port}}, http2=False),
    ]
    return json.dumps({"admin": {"address": {"socket_address": loopback}}, "static_resources": {"listeners": [listener], "clusters": clusters}})


@pytest.fixture
async def limited(home: Path) -> AsyncIterator[Limited]:
    service = RateLimitService(OneProcess(), [THREE_A_DAY], Replicas(cast("ReplicaRegister", None), 1), 1_000)
    async with AsyncExitStack() as stack:
        running = Limited(service, await stack.enter_async_context(Engine().serve()))
        await stack.enter_async_context(serve(f"unix:{home}/ratelimit", UnaryMethod(SHOULD_RATE_LIMIT, running.handle)))
        template = configuration(home / "ratelimit", int(running.engine.url.rpartition(":")[2]))
        unused = BootstrapParams(xds_directory=home / "xds", extauth=(f"unix:{home}/extauth",), extproc=(f"unix:{home}/extproc",))
        envoy = await stack.enter_async_context(run_envoy(home, unused, template))
        running.client = await stack.enter_async_context(httpx2.AsyncClient(base_url=envoy.url, timeout=20, trust_env=False))
        yield running
        await service.finish()


async def test_requests_pass_up_to_the_limit_and_the_rest_gets_our_429(limited: Limited) -> None:
    answers = [await limited.get("t1") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert (await limited.get("t2")).status_code == 200, "another tenant has its own"
    assert len(limited.engine.received) == 4
    first, refused = answers[0].headers, answers[3].headers
    assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-remaining-requests"]) == ("3", "2")
    assert refused["content-type"] == "application/json"
    assert 28_000 < int(refused["x-ratelimit-reset"]) <= 28_800, "Envoy's own header: until one more fits"
    assert answers[3].json()["error"]["code"] == "rate_limit_exceeded"
    assert "requests of a tenant (3 per day)" in answers[3].json()["error"]["message"]


async def test_tokens_are_charged_at_the_end_of_the_stream(limited: Limited) -> None:
    limited.engine.answer = answer_status(200, b"sixty tokens", {"x-tokens": "60"})
    for turn in (1, 2):
        assert (await limited.get("t1", "/tokens")).status_code == 200
        await until(lambda turn=turn: len(limited.asked) == 2 * turn)  # type: ignore[misc]
    asked, charged = limited.asked[:2]
    assert asked.descriptors[0].HasField("hits_addend")
    assert [one.descriptors[0].hits_addend.value for one in (asked, charged)] == [0, 60]
    assert asked.descriptors[0].limit == charged.descriptors[0].limit
    assert asked.descriptors[0].entries == charged.descriptors[0].entries
    refused = await limited.get("t1", "/tokens")
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "tokens"
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
    assert 0 < int(refused.headers["retry-after"]) <= 13, "21 of 100 per minute"


async def test_a_client_cannot_make_the_check_fail_and_so_pass(limited: Limited) -> None:
    """What the service answers with an error, Envoy lets through."""
    assert [(await limited.get(tenant)).status_code for tenant in (b"t\xff", b"t" * 5_000)] == [429, 429]
    assert limited.engine.received == []
