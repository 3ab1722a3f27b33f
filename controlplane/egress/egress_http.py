"""Calls by HTTP/1.1. The addresses of a name are judged where the connection is made, and the connection goes to what was judged.

So a name that changes its mind between look and call (DNS rebinding) gains nothing. Everything that a client library does on its own
is not there: no redirects, no cookies, no proxies or credentials from the environment, no connection that is used twice.
"""

import asyncio
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address

import httpcore2

from controlplane.client_address import Network
from controlplane.egress.ports import Answer, CallFailed, EgressDenied, NameNotResolved, Outgoing, Resolver
from controlplane.egress.resolver_system import SystemResolver
from controlplane.egress.rules import Address, judge_all

CONNECT_S = 2.0
"""For one address."""
MOST_ADDRESSES = 4
"""That are tried of a name, one after the other; all are judged."""
USER_AGENT = "ias-egress"
_DEFAULT_PORTS = {b"http": 80, b"https": 443}


class HttpEgress:
    """The `Egress` port. `tls` is for tests with a CA of their own; TLS is verified against the name, never against the address."""

    def __init__(self, resolver: Resolver, allowed: Sequence[Network], tls: ssl.SSLContext | None = None) -> None:
        self._connections = _JudgedConnections(resolver, tuple(allowed))
        self._tls = tls or ssl.create_default_context()

    async def check(self, base_url: str) -> None:
        host = httpcore2.URL(base_url).host.decode()
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connections.addresses(host)
        except (NameNotResolved, TimeoutError):
            return

    async def call(self, outgoing: Outgoing) -> Answer:
        try:
            async with asyncio.timeout(outgoing.timeout_s):
                return await self._call(outgoing)
        except TimeoutError:
            raise CallFailed(f"no answer within {outgoing.timeout_s:g} s") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, httpcore2.UnsupportedProtocol, OSError) as error:
            raise CallFailed(str(error) or type(error).__name__) from error

    async def _call(self, outgoing: Outgoing) -> Answer:
        url = httpcore2.URL(outgoing.url)
        if url.scheme not in _DEFAULT_PORTS:
            raise CallFailed("only http and https are called")
        own = {"host": _authority(url), "user-agent": USER_AGENT, "accept-encoding": "identity", "connection": "close"}
        began = time.monotonic()
        async with (
            httpcore2.AsyncHTTPConnection(url.origin, self._tls, network_backend=self._connections) as connection,
            connection.stream(
                outgoing.method,
                url,
                headers=[*own.items(), *outgoing.headers.items()],
                content=outgoing.body or None,
                extensions={"timeout": {"connect": CONNECT_S}},
            ) as response,
        ):
            seconds = time.monotonic() - began
            return Answer(response.status, await _read(response, outgoing.max_bytes), seconds)


@contextmanager
def open_egress(allowed: Sequence[Network]) -> Iterator[HttpEgress]:
    """Make the egress of a process: names by the system, public addresses and these networks."""
    resolver = SystemResolver()
    try:
        yield HttpEgress(resolver, allowed)
    finally:
        resolver.close()


class _JudgedConnections(httpcore2.AsyncNetworkBackend):
    """Connects to judged addresses only. The name stays with the caller, who needs it for TLS (SNI, certificate) and the Host header."""

    def __init__(self, resolver: Resolver, allowed: tuple[Network, ...]) -> None:
        self._resolver = resolver
        self._allowed = allowed
        self._sockets = httpcore2.AnyIOBackend()

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of a host; raise EgressDenied when one of them is denied."""
        literal = _literal(host)
        addresses = (literal,) if literal else await self._resolver.resolve(host)
        if (denial := judge_all(addresses, self._allowed)) is not None:
            what = str(denial) if literal else f"'{host}' resolves to {denial.address}, which {denial.reason}"
            raise EgressDenied(f"egress_denied: {what}")
        return [str(address) for address in addresses]

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        last: Exception | None = None
        for address in (await self.addresses(host))[:MOST_ADDRESSES]:
            try:
                return await self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise CallFailed(f"no connection to {host} port {port}: {last}") from last

    async def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: object = None) -> httpcore2.AsyncNetworkStream:  # noqa: ASYNC109
        raise CallFailed("no socket of this machine is called")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _authority(url: httpcore2.URL) -> str:
    host = url.host.decode()
    host = f"[{host}]" if ":" in host else host
    return host if url.port in (None, _DEFAULT_PORTS[url.scheme]) else f"{host}:{url.port}"


async def _read(response: httpcore2.Response, max_bytes: int) -> bytes:
    """Read a body up to its limit. A compressed one was not asked for; unpacked, it could be of any size."""
    coding = next((value for name, value in response.headers if name.lower() == b"content-encoding"), b"identity")
    if coding.strip().lower() not in (b"identity", b""):
        raise CallFailed("a compressed answer, which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > max_bytes:
            raise CallFailed(f"an answer of more than {max_bytes} bytes")
    return bytes(body)
