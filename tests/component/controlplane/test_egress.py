"""Egress against real servers: strangers that redirect, rebind, pack, drip and never end."""

import asyncio
import gzip
import ssl
import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
import trustme
from fastapi import FastAPI

from controlplane.egress.egress_http import HttpEgress, open_egress
from controlplane.egress.ports import CallFailed, EgressDenied, NameNotResolved, Outgoing
from controlplane.egress.resolver_system import SystemResolver
from controlplane.egress.rules import Address
from controlplane.publishing.reconciler import Reconciler
from tests.component.controlplane.world import World
from tests.support.engine import engine_running
from tests.support.gateway_memory import MemoryGateway
from tests.support.stranger import answer, stranger_running

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Names:
    """A name service that says something else each time it is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = [tuple(map(ip_address, addresses)) for addresses in answers]
        self.asked: list[str] = []

    async def resolve(self, host: str) -> tuple[Address, ...]:
        self.asked.append(host)
        found = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if not found:
            raise NameNotResolved("no such name")
        return found


def get(port: int, host: str = "engine.test", scheme: str = "http", **options: object) -> Outgoing:
    return Outgoing(f"{scheme}://{host}:{port}/path", **{"timeout_s": 2.0, **options})  # type: ignore[arg-type]


MANY = ["8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "149.112.112.112"]
"""More than are tried."""


@pytest.mark.parametrize("addresses", [["10.0.0.5"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], [*MANY, "127.0.0.1"]])
async def test_a_name_with_a_denied_address_is_not_called(addresses: list[str]) -> None:
    async with stranger_running(answer()) as stranger:
        with pytest.raises(EgressDenied, match=r"^egress_denied: 'engine.test' resolves to .*, which is in .*add it to IAS_EGRESS_ALLOWED_NETWORKS"):
            await HttpEgress(Names(addresses), ()).call(get(stranger.port))
        assert stranger.heads == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "127.1", "2130706433", "0x7f.1", "0.0.0.0"])
async def test_however_this_machine_is_written_it_is_not_called(host: str) -> None:
    with open_egress(()) as egress, pytest.raises(EgressDenied):
        await egress.call(get(80, host))


async def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    """DNS rebinding: the connection goes to the address that was judged, and nobody asks again on the way."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with stranger_running(answer(200, b"good")) as good, stranger_running(answer(200, b"bad"), host="127.0.0.2", port=good.port) as bad:
        reply = await HttpEgress(names, (ip_network("127.0.0.1/32"),)).call(get(good.port))
        assert (reply.body, names.asked, bad.heads) == (b"good", ["engine.test"], [])
        with pytest.raises(EgressDenied, match=r"127\.0\.0\.2"):
            await HttpEgress(names, (ip_network("127.0.0.1/32"),)).call(get(good.port))
        assert bad.heads == []


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with stranger_running(answer(200, b"there"), host="127.0.0.2") as stranger:
        reply = await HttpEgress(Names(["127.0.0.3", "127.0.0.2"]), LOOPBACK).call(get(stranger.port))
    assert reply.body == b"there"


async def test_a_redirect_is_an_answer() -> None:
    async with stranger_running(answer(302, b"", "location: http://127.0.0.1:1/secret")) as stranger:
        reply = await HttpEgress(Names(["127.0.0.1"]), LOOPBACK).call(get(stranger.port))
        assert (reply.status, stranger.paths) == (302, ["/path"])


async def test_nothing_of_ours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cookies come back, no proxy is used, and the headers are those that are written down here."""
    async with stranger_running(answer(200, b"", "set-cookie: a=b")) as stranger, stranger_running(answer(502)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://user:secret@127.0.0.1:{proxy.port}")
        egress = HttpEgress(Names(["127.0.0.1"]), LOOPBACK)
        for _ in range(2):
            assert (await egress.call(get(stranger.port))).status == 200
        assert proxy.heads == []
        headers = [f"host: engine.test:{stranger.port}", "user-agent: ias-egress", "accept-encoding: identity", "connection: close"]
        expected = "\r\n".join(["GET /path HTTP/1.1", *headers, "", ""])
        assert [one.decode() for one in stranger.heads] == [expected] * 2


async def test_a_body_and_headers_are_sent_and_never_shown() -> None:
    async with stranger_running(answer()) as stranger:
        outgoing = get(stranger.port, method="POST", body=b"{}", headers={"authorization": "Bearer hidden"})
        await HttpEgress(Names(["127.0.0.1"]), LOOPBACK).call(outgoing)
        assert b"authorization: Bearer hidden\r\n" in stranger.heads[0]
        assert stranger.bodies == [b"{}"]
    assert "hidden" not in repr(outgoing)


async def endless_body(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 x\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def endless_headers(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 x\r\n")
    while True:
        writer.write(b"x-more: %s\r\n" % (b"x" * 8_000))
        await writer.drain()


async def endless_beginnings(_: str, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 x\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drips(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silent(_: str, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (answer(200, b"x" * 70_000), "more than 65536 bytes"),
        (b"HTTP/1.1 200 x\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 70_000, "more than 65536 bytes"),
        (endless_body, "more than 65536 bytes"),
        (answer(200, gzip.compress(b"x" * 10_000_000), "content-encoding: gzip"), "compressed"),
        (endless_headers, "[Hh]eader|event|too"),
        (endless_beginnings, "no answer within 0.5 s"),
        (drips, "no answer within 0.5 s"),
        (silent, "no answer within 0.5 s"),
        (b"", "disconnected without"),
        (b"SSH-2.0-x\r\n\r\n", "illegal status line"),
        (b"HTTP/1.1 200 x\r\ncontent-length: 10\r\n\r\nshort", "peer closed"),
        (b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "chunk"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_an_answer_that_is_none_is_a_failure_soon(answers: object, reason: str) -> None:
    async with stranger_running(answers) as stranger:  # type: ignore[arg-type]
        began = time.monotonic()
        with pytest.raises(CallFailed, match=reason):
            await HttpEgress(Names(["127.0.0.1"]), LOOPBACK).call(get(stranger.port, timeout_s=0.5, max_bytes=65_536))
        assert time.monotonic() - began < 1.5


async def test_a_name_service_that_hangs_is_not_waited_for() -> None:
    class Hanging:
        async def resolve(self, host: str) -> tuple[Address, ...]:
            await asyncio.Event().wait()
            raise AssertionError(host)

    with pytest.raises(CallFailed, match=r"no answer within 0.1 s"):
        await HttpEgress(Hanging(), ()).call(get(80, timeout_s=0.1))


async def test_check_denies_what_a_call_would_and_lets_an_unknown_name_be() -> None:
    await HttpEgress(Names(["127.0.0.1"]), LOOPBACK).check("http://engine.test:80")
    await HttpEgress(Names([]), ()).check("http://engine.test:80")
    with pytest.raises(EgressDenied):
        await HttpEgress(Names(["127.0.0.1"]), ()).check("http://engine.test:80")


async def test_tls_is_verified_against_the_name_though_the_address_is_pinned() -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("engine.test").configure_cert(server)
    authority.configure_trust(client)
    asked_for: list[str | None] = []
    server.sni_callback = lambda _, name, __: asked_for.append(name)  # type: ignore[assignment]
    async with stranger_running(answer(200, b"safe"), tls=server) as stranger:
        egress = HttpEgress(Names(["127.0.0.1"]), LOOPBACK, client)
        assert (await egress.call(get(stranger.port, scheme="https"))).body == b"safe"
        assert asked_for == ["engine.test"]
        with pytest.raises(CallFailed, match="Hostname mismatch"):
            await egress.call(get(stranger.port, "other.test", scheme="https"))
        with pytest.raises(CallFailed, match=r"self.signed|unable to get local issuer"):
            await HttpEgress(Names(["127.0.0.1"]), LOOPBACK).call(get(stranger.port, scheme="https"))
    assert len(stranger.heads) == 1


async def test_the_system_resolves_beside_the_event_loop_and_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def slow(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        calls.append(host)
        time.sleep(0.3)
        return [(0, 0, 0, "", ("192.0.2.1", 0)), (0, 0, 0, "", ("192.0.2.1", 0))]

    monkeypatch.setattr("socket.getaddrinfo", slow)
    resolver = SystemResolver()
    began = time.monotonic()
    asking = [asyncio.create_task(resolver.resolve("slow.test")) for _ in range(50)]
    await asyncio.sleep(0.05)
    assert time.monotonic() - began < 0.25, "the loop went on"
    asking[0].cancel()
    assert set(await asyncio.gather(*asking[1:])) == {(ip_address("192.0.2.1"),)}
    assert calls == ["slow.test"]
    resolver.close()


async def test_a_name_that_does_not_exist() -> None:
    with open_egress(()) as egress, pytest.raises(NameNotResolved, match=r"'nothing\.invalid' cannot be resolved"):
        await egress.call(get(80, "nothing.invalid"))


async def test_a_model_is_not_published_to_an_engine_whose_name_has_moved_inside(world: World, app: FastAPI) -> None:
    """Envoy connects to engines, too, and judges no address: it is not sent to one that we may not call."""
    runtime, gateway, names = world.runtime, MemoryGateway(), Names(["127.0.0.1"])
    publisher = replace(runtime.publisher, reconciler=Reconciler(runtime.engine, gateway), egress=HttpEgress(names, LOOPBACK))
    app.state.runtime = replace(runtime, publisher=publisher)
    root = world["root"]
    async with engine_running("chat", "other") as good, engine_running("chat", "other") as moved:
        await root.ok("POST", "/backend", {"name": "good", "baseUrl": good.url})
        await root.ok("POST", "/backend", {"name": "moved", "baseUrl": moved.url})
        await world.rows("UPDATE backends SET base_url = 'http://moved.test:8000' WHERE name = 'moved' RETURNING id")
        publish = {"config": {"tenantId": "alpha", "backend": "moved"}}
        await root.ok("POST", "/models/other/publish", publish)
        names.answers = [(ip_address("169.254.169.254"),)]
        refused = await root.call("POST", "/models/chat/publish", publish)
        assert (refused.status_code, refused.json()["code"]) == (422, "egress_denied")
        assert "'moved.test' resolves to 169.254.169.254" in refused.json()["detail"]
        await root.ok("PUT", "/models/other/publish", {"config": {"backend": "good"}})
        refused = await root.call("PUT", "/models/other/publish", {"config": {"backend": "moved"}})
        assert (refused.status_code, refused.json()["code"]) == (422, "egress_denied")
    assert [route.model for route in gateway.served.routes] == ["other"]
