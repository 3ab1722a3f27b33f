"""Engines that demand a credential: each is shown its own, by the gateway alone, and it is seen nowhere else."""

import asyncio
import stat
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controlplane.backends.credentials import CredentialFolder
from controlplane.gateway.file_xds import FileXdsGateway
from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState, GatewayTarget
from tests.dataplane.conftest import MODEL, Dataplane, StartDataplane
from tests.dataplane.stand_ins import Engine, Received, Send, answer_json, answer_status
from tests.support.waiting import until

_SECRETS = {"key-a": "sk-secret-of-a", "key-b": "sk-secret-of-b"}


class Demanding(Engine):
    """Answers 401 to whoever shows none of its keys, as vLLM does."""

    def __init__(self, *keys: str) -> None:
        super().__init__()
        self.keys = set(keys)
        self.answer = self._answer

    async def _answer(self, request: Received, send: Send) -> None:
        is_welcome = request.target == "/health" or request.headers.get("authorization") in {f"Bearer {key}" for key in self.keys}
        await (answer_json if is_welcome else answer_status(401, b'{"error": "Unauthorized"}'))(request, send)

    def shown(self) -> Counter[str | None]:
        """What inference requests showed."""
        return Counter(request.headers.get("authorization") for request in self.received if request.method == "POST")


@dataclass
class Site:
    """A data plane whose gateway knows credentials."""

    dataplane: Dataplane
    folder: Path
    gateway: FileXdsGateway
    engines: dict[str, Engine] = field(default_factory=dict)

    async def put(self, credentials: dict[str, str], *targets: GatewayTarget) -> None:
        """Publish the model on engines with these credentials."""
        backends = tuple(GatewayBackend(name, self.engines[name].url, credential=credential) for name, credential in credentials.items())
        await self.gateway.apply(GatewayState(backends, (GatewayRoute(MODEL, targets or tuple(GatewayTarget(name) for name in credentials)),)))

    async def statuses(self, requests: int = 20) -> Counter[int]:
        return Counter([(await self.dataplane.chat()).status_code for _ in range(requests)])

    def secret_files(self) -> list[Path]:
        return sorted((self.dataplane.home / "xds" / "secrets").glob("*"))


@pytest.fixture
async def site(start_dataplane: StartDataplane, home: Path) -> AsyncIterator[Site]:
    folder = home / "credentials"
    folder.mkdir()
    for name, secret in _SECRETS.items():
        (folder / name).write_text(secret + "\n")
    async with start_dataplane(access_log_path=str(home / "access.log")) as dataplane, AsyncExitStack() as stack:
        gateway = FileXdsGateway(home / "xds", dataplane.envoy.admin_url, envoy_log=dataplane.envoy.log, credentials=CredentialFolder(folder))
        found = Site(dataplane, folder, gateway, {"a": Demanding(_SECRETS["key-a"]), "b": Demanding(_SECRETS["key-b"]), "open": Engine()})
        for engine in found.engines.values():
            await stack.enter_async_context(engine.serve())
        yield found


async def test_an_engine_that_demands_a_key_is_shown_it_and_nothing_of_the_client(site: Site) -> None:
    await site.put({"a": ""})
    assert await site.statuses(1) == {401: 1}, "the control: without a credential the engine refuses"
    await site.put({"a": "key-a"})
    assert await site.statuses() == {200: 20}
    engine = site.engines["a"]
    assert isinstance(engine, Demanding)
    assert engine.shown() == {None: 1, "Bearer sk-secret-of-a": 20}
    assert "x-ias-target" not in engine.received[-1].headers


async def test_each_engine_of_a_pool_gets_its_own_and_one_without_gets_none(site: Site) -> None:
    await site.put({"a": "key-a", "b": "key-b", "open": ""})
    assert await site.statuses(60) == {200: 60}
    for name, shown in (("a", "Bearer sk-secret-of-a"), ("b", "Bearer sk-secret-of-b"), ("open", None)):
        requests = [request for request in site.engines[name].received if request.method == "POST"]
        assert {request.headers.get("authorization") for request in requests} == {shown}, name
        assert not any("x-ias-target" in request.headers for request in requests)


async def test_a_request_that_is_tried_again_elsewhere_does_not_take_the_credential_along(site: Site) -> None:
    """Envoy tries again with the headers of the try before."""
    dead = Engine()
    async with dead.serve():
        site.engines["dead"] = dead
    await site.put(
        {"dead": "key-a", "open": "", "b": "key-b"}, GatewayTarget("dead"), GatewayTarget("open", priority=1), GatewayTarget("b", priority=2)
    )
    assert await site.statuses(10) == {200: 10}
    assert {request.headers.get("authorization") for request in site.engines["open"].received if request.method == "POST"} == {None}


async def test_a_new_credential_is_taken_under_load_without_a_failed_request(site: Site) -> None:
    engine, statuses, stop = site.engines["a"], Counter[int](), asyncio.Event()
    assert isinstance(engine, Demanding)
    engine.keys.add("sk-new")
    await site.put({"a": "key-a", "b": "key-b"})

    async def ask() -> None:
        while not stop.is_set():
            statuses[(await site.dataplane.chat()).status_code] += 1

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    (site.folder / "key-a").write_text("sk-new")
    await site.put({"a": "key-a", "b": "key-b"})
    await until(lambda: engine.shown()["Bearer sk-new"])
    engine.keys.remove(_SECRETS["key-a"])
    seen = sum(statuses.values())
    await until(lambda: sum(statuses.values()) > seen + 50)
    stop.set()
    await asyncio.gather(*asking)
    assert set(statuses) == {200}


async def test_without_its_credential_no_request_reaches_an_engine_and_the_others_go_on(site: Site) -> None:
    await site.put({"a": "key-a", "b": "key-b"})
    (site.folder / "key-a").unlink()
    before = len(site.engines["a"].received)
    await site.put({"a": "key-a", "b": "key-b"})
    assert await site.statuses() == {200: 20}
    assert not any(request.method == "POST" for request in site.engines["a"].received[before:])
    await site.put({"a": "key-a"})
    answer = await site.dataplane.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
    (site.folder / "key-a").write_text(_SECRETS["key-a"])
    await site.put({"a": "key-a"})
    assert await site.statuses() == {200: 20}


async def test_the_secret_is_in_one_private_file_and_gone_with_the_credential(site: Site) -> None:
    await site.put({"a": "key-a", "b": "key-b"})
    files = site.secret_files()
    assert [path.name for path in files] == ["credential-key-a.json", "credential-key-b.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (*files, files[0].parent)} == {0o600, 0o700}
    await site.put({"a": "key-a"})
    assert [path.name for path in site.secret_files()] == ["credential-key-a.json"]
    await site.put({"open": ""})
    assert site.secret_files() == []
    assert await site.statuses(5) == {200: 5}


async def test_envoy_tells_nobody(site: Site) -> None:
    """Not its administrators, not its logs."""
    await site.put({"a": "key-a", "b": "key-b"})
    assert await site.statuses(5) == {200: 5}
    envoy, home = site.dataplane.envoy, site.dataplane.home
    dump, *dumps = [await envoy.admin(path) for path in ("/config_dump?include_eds", "/clusters", "/stats", "/listeners", "/server_info")]
    assert dump.count("[redacted]") == 2, "Envoy knows the secrets"
    envoy.process.terminate()
    await asyncio.to_thread(envoy.process.wait, 20)
    private = {site.folder, home / "xds" / "secrets"}
    files = {path.name: path.read_text() for path in home.rglob("*") if path.is_file() and path.parent not in private}
    assert files["access.log"].count('"status":200') == 5
    told = "".join((dump, *dumps, *files.values()))
    assert not [secret for secret in _SECRETS.values() if secret in told]
