"""The transport port, called by a real Envoy: ext_authz is its unary call, ext_proc its bidirectional stream."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from controlplane.gateway.bootstrap import BootstrapParams, template_path
from controlplane.gateway.file_xds import FileXdsGateway
from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState
from ias.transport import Call, ListenOptions, Method, Server, Stream, StreamMachine, StreamMethod, new_server
from protos import base_pb2, ext_proc_pb2
from tests.conformance.serving import Logged, until
from tests.dataplane.stand_ins import GOOD_KEY, Engine, Extauth, Extproc, answer_never
from tests.support.envoy import RunningEnvoy, run_envoy

MIB = 1024 * 1024
MODEL = "some-model"


class Recording(StreamMachine):
    """Hands on to the stand-in's machine, and remembers how its stream ended."""

    def __init__(self, machine: StreamMachine, ends: list[str]) -> None:
        self._machine = machine
        self._ends = ends

    def on_message(self, message: bytes) -> Sequence[bytes]:
        return self._machine.on_message(message)

    def on_end(self) -> None:
        self._ends.append("end")

    def on_abort(self) -> None:
        self._ends.append("abort")


class RecordingExtproc(Extproc):
    """Can replace the request body, and hears how streams end."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[str] = []
        self.replacement: bytes | None = None

    def method(self) -> StreamMethod:
        plain = super().method()

        def open_stream(stream: Stream) -> StreamMachine:
            return Recording(Replacing(plain.open(stream), self), self.ends)

        return StreamMethod(plain.path, open_stream)


class HoldingExtauth(Extauth):
    """Keeps the calls that it got."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def _handle(self, calls: Sequence[Call]) -> None:
        self.calls.extend(calls)
        super()._handle(calls)


@dataclass
class Replacing(StreamMachine):
    """Answers a request body with another one."""

    machine: StreamMachine
    owner: RecordingExtproc

    def on_message(self, message: bytes) -> Sequence[bytes]:
        replies = self.machine.on_message(message)
        if self.owner.replacement is None or ext_proc_pb2.ProcessingRequest.FromString(message).WhichOneof("request") != "request_body":
            return replies
        length = base_pb2.HeaderValue(key="content-length", raw_value=b"%d" % len(self.owner.replacement))
        option = base_pb2.HeaderValueOption(header=length, append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
        common = ext_proc_pb2.CommonResponse(
            header_mutation=ext_proc_pb2.HeaderMutation(set_headers=[option]),
            body_mutation=ext_proc_pb2.BodyMutation(body=self.owner.replacement),
        )
        reply = ext_proc_pb2.ProcessingResponse(request_body=ext_proc_pb2.BodyResponse(response=common))
        return (reply.SerializeToString(),)

    def on_end(self) -> None:
        pass

    def on_abort(self) -> None:
        pass


@dataclass
class Site:
    """An Envoy between our two servers and an engine."""

    transport: str
    home: Path
    extauth: HoldingExtauth
    extproc: RecordingExtproc
    engine: Engine
    servers: dict[str, Server] = field(default_factory=dict)
    envoy: RunningEnvoy = field(init=False)
    client: httpx2.AsyncClient = field(init=False)
    _started: int = 0

    async def serve(self, name: str) -> None:
        """Start one of our servers, at an address where none was before, and write down for Envoy where."""
        self._started += 1
        path = self.home / f"{name}-{self._started}"
        method: Method = self.extauth.method() if name == "extauth" else self.extproc.method()
        self.servers[name] = new_server([method], ListenOptions(f"unix:{path}"), self.transport)
        await self.servers[name].start()
        assignment = {
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(path)}}}}]}],
        }
        written = self.home / f"{name}.new"
        written.write_text(json.dumps({"version_info": str(self._started), "resources": [assignment]}))
        written.rename(self.home / f"{name}.json")

    async def restart(self, name: str) -> None:
        """Start a successor, have Envoy turn to it, drain the predecessor: as a rollout does."""
        predecessor = self.servers[name]
        assert f"{name}::{predecessor.address.removeprefix('unix:')}::" in await self.envoy.admin("/clusters")
        await self.serve(name)
        async with asyncio.timeout(30):
            while f"{name}::{predecessor.address.removeprefix('unix:')}::" in await self.envoy.admin("/clusters"):  # noqa: ASYNC110 -- another process's state
                await asyncio.sleep(0.01)
        await predecessor.drain(60)

    async def chat(self, padding: int = 0) -> httpx2.Response:
        body = {"model": MODEL, "messages": [], "padding": "x" * padding}
        return await self.client.post("/v1/chat/completions", json=body, headers={"authorization": GOOD_KEY})

    async def active(self, name: str) -> int:
        """Requests that Envoy has under way with one of our servers."""
        found = re.search(rf"^cluster\.{name}\.upstream_rq_active: (\d+)", await self.envoy.admin(f"/stats?filter=cluster.{name}.upstream_rq_active"))
        return int(found[1]) if found else 0


def cluster(name: str, endpoints: Path) -> dict[str, object]:
    """A cluster like the bootstrap's own, but with endpoints that may change."""
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 10_000}},
    }
    source = {"resource_api_version": "V3", "path_config_source": {"path": str(endpoints)}}
    return {
        "name": name,
        "type": "EDS",
        "connect_timeout": "5s",
        "eds_cluster_config": {"eds_config": source},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
    }


@pytest.fixture
async def site(transport: str, short_path: Path, logged: Logged) -> AsyncIterator[Site]:
    logged.expected.add("gateway_updated")
    params = BootstrapParams(
        xds_directory=short_path / "xds",
        extauth=("unix:/nobody",),
        extproc=("unix:/nobody",),
        authorization_timeout_ms=60_000,
        processing_timeout_ms=60_000,
    )
    clusters = [cluster(name, short_path / f"{name}.json") for name in ("extauth", "extproc")]
    template = template_path().read_text().replace("$service_clusters", json.dumps(clusters))
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine().serve())
        site = Site(transport, short_path, HoldingExtauth(), RecordingExtproc(), engine)
        for name in ("extauth", "extproc"):
            await site.serve(name)
        site.envoy = await stack.enter_async_context(run_envoy(short_path, params, template))
        limits = httpx2.Limits(max_connections=None)
        site.client = await stack.enter_async_context(httpx2.AsyncClient(base_url=site.envoy.url, timeout=60, trust_env=False, limits=limits))
        gateway = FileXdsGateway(short_path / "xds", site.envoy.admin_url, envoy_log=site.envoy.log)
        await gateway.apply(GatewayState((GatewayBackend("engine", engine.url),), (GatewayRoute.to_one(MODEL, "engine"),)))
        yield site
        for server in site.servers.values():
            await server.drain(0)


async def test_requests_pass_side_by_side(site: Site) -> None:
    answers = await asyncio.gather(*(site.chat(padding=number * 100) for number in range(100)))
    assert Counter(answer.status_code for answer in answers) == {200: 100}
    assert len(site.extauth.requests) == len(site.extproc.requests) == 100
    await until(lambda: len(site.extproc.ends) == 100, 30)


async def test_large_bodies_pass_and_are_replaced_by_large_ones(site: Site) -> None:
    """9 MiB to ext_authz, 9 MiB to ext_proc, 10 MiB back from it, through the windows that Envoy gives."""
    site.extproc.replacement = b"y" * (10 * MIB)
    answer = await site.chat(padding=9 * MIB)
    assert answer.status_code == 200, answer.text
    assert len(site.extauth.requests[0].raw_body) > 9 * MIB
    assert site.extproc.bodies == [len(site.extauth.requests[0].raw_body)]
    assert answer.json()["body_bytes"] == 10 * MIB


async def test_a_client_that_leaves_ends_the_stream(site: Site) -> None:
    site.engine.answer = answer_never
    asking = asyncio.create_task(site.chat())
    await until(lambda: site.engine.received, 30)
    asking.cancel()
    await until(lambda: site.extproc.ends, 30)
    assert len(site.extproc.ends) == 1


async def test_a_client_that_leaves_cancels_its_call(site: Site) -> None:
    site.extauth.answers = False
    asking = asyncio.create_task(site.chat())
    await until(lambda: site.extauth.calls, 30)
    asking.cancel()
    async with asyncio.timeout(30):
        while await site.active("extauth"):  # noqa: ASYNC110 -- another process's counter
            await asyncio.sleep(0.01)
    site.extauth.calls[0].reply(b"nobody listens")
    site.extauth.answers = True
    assert (await site.chat()).status_code == 200


async def test_restarts_under_load_fail_no_request(site: Site) -> None:
    outcomes: Counter[str] = Counter()
    stopped = False

    async def ask_on_and_on() -> None:
        while not stopped:
            answer = await site.chat()
            outcomes[f"{answer.status_code} {'' if answer.status_code == 200 else answer.text}"] += 1

    async def some_more() -> None:
        before = outcomes.total()
        await until(lambda: outcomes.total() >= before + 50, 60)

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(ask_on_and_on())
        for name in ("extauth", "extproc") * 2:
            await some_more()
            await site.restart(name)
        await some_more()
        stopped = True
    assert outcomes["200 "] >= 250
    # grpc.aio 1.85 loses calls that arrive in the moment in which it begins to stop.
    if site.transport != "grpcio":
        assert set(outcomes) == {"200 "}
