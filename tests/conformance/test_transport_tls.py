"""The transport port on TLS: certificates of the server, and of clients where they are asked for."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from ias.transport import Server, Tls
from tests.conformance.serving import UNARY, Serving, status_of

MIB = 1024 * 1024
pytestmark = pytest.mark.usefixtures("logged")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, trustme.Blob], Path]:
    def write_pem(name: str, blob: trustme.Blob) -> Path:
        blob.write_to_path(str(tmp_path / name))
        return tmp_path / name

    return write_pem


@pytest.fixture
def tls(authority: trustme.CA, write: Callable[[str, trustme.Blob], Path]) -> Tls:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    return Tls(
        write("server.pem", certificate.cert_chain_pems[0]),
        write("server.key", certificate.private_key_pem),
        write("ca.pem", authority.cert_pem),
    )


@asynccontextmanager
async def secure_channel(server: Server, authority: trustme.CA, certificate: trustme.LeafCert | None = None) -> AsyncIterator[grpc.aio.Channel]:
    pair = (certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes()) if certificate else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), *pair)
    options: list[tuple[str, Any]] = [
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.max_receive_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with grpc.aio.secure_channel(server.address, credentials, options) as channel:
        yield channel


@pytest.mark.parametrize("size", [4, 5 * MIB])
async def test_messages_pass(serving: Serving, authority: trustme.CA, tls: Tls, size: int) -> None:
    server = await serving.start(tls=Tls(tls.certificate, tls.key))
    async with secure_channel(server, authority) as client:
        assert await client.unary_unary(UNARY)(bytes(size), timeout=30) == bytes(size)


async def test_a_client_with_a_certificate_of_the_authority_is_let_in(serving: Serving, authority: trustme.CA, tls: Tls) -> None:
    server = await serving.start(tls=tls)
    async with secure_channel(server, authority, authority.issue_cert("envoy")) as client:
        assert await client.unary_unary(UNARY)(b"ping", timeout=30) == b"ping"


@pytest.mark.parametrize("who", ["nobody", "a stranger"])
async def test_others_are_not(serving: Serving, authority: trustme.CA, tls: Tls, who: str) -> None:
    server = await serving.start(tls=tls)
    certificate = trustme.CA().issue_cert("stranger") if who == "a stranger" else None
    async with secure_channel(server, authority, certificate) as client:
        assert (await status_of(client.unary_unary(UNARY)(b"ping", timeout=30)))[0] is grpc.StatusCode.UNAVAILABLE


async def test_who_speaks_plainly_harms_nobody(serving: Serving, authority: trustme.CA, tls: Tls) -> None:
    server = await serving.start(tls=Tls(tls.certificate, tls.key))
    async with grpc.aio.insecure_channel(server.address) as plain:
        assert (await status_of(plain.unary_unary(UNARY)(b"ping", timeout=30)))[0] is grpc.StatusCode.UNAVAILABLE
    async with secure_channel(server, authority) as client:
        assert await client.unary_unary(UNARY)(b"ping", timeout=30) == b"ping"


async def test_a_drain_ends_secure_connections_too(serving: Serving, authority: trustme.CA, tls: Tls) -> None:
    server = await serving.start(tls=tls)
    async with secure_channel(server, authority, authority.issue_cert("envoy")) as client:
        await client.unary_unary(UNARY)(b"ping", timeout=30)
        await server.drain(30)
        assert (await status_of(client.unary_unary(UNARY)(b"ping", timeout=30)))[0] is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("missing", ["certificate", "key"])
async def test_a_certificate_that_is_not_there_is_an_os_error(serving: Serving, tls: Tls, missing: str) -> None:
    getattr(tls, missing).unlink()
    with pytest.raises(OSError, match="No such file"):
        await serving.start(tls=tls)
