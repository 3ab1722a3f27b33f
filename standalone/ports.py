"""TCP ports: taken before anything starts, so that a port in use is found first, and kept while a process is restarted."""

import errno
import socket
from dataclasses import dataclass


class PortTaken(Exception):
    """Somebody else listens there; the message is a sentence for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port held by a bound socket that does not listen: with SO_REUSEADDR our own process can listen on it, and nobody gets it by chance."""

    host: str
    number: int
    holder: socket.socket

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.number}"

    @property
    def url(self) -> str:
        """The URL by which a program on this machine reaches it."""
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # compared, not bound
        return f"http://{Port(reachable, self.number, self.holder)}"


def reserve(host: str, number: int = 0, option: str = "") -> Port:
    """Take a port, any free one for 0; raise PortTaken that names the port and the option to choose another."""
    # Two sockets may be bound to one port, but only one may listen: so listen once, to see whether somebody does.
    try:
        with _bound(host, number) as probe:
            probe.listen(1)
            number = int(probe.getsockname()[1])
        holder = _bound(host, number)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"Port {number} on {host} is in use by another program. Stop it, or choose another port with {option}.") from None
        raise PortTaken(f"Cannot listen on {host} port {number}: {error.strerror or error}. Choose another with --host and {option}.") from error
    return Port(host, number, holder)


def _bound(host: str, number: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, number))
    except OSError:
        bound.close()
        raise
    return bound


@dataclass(frozen=True, slots=True)
class Ports:
    """Every TCP port of the stack. Only the first two are for others; the rest is on loopback."""

    gateway: Port
    api: Port
    envoy_admin: Port
    simulator: Port
    extauth_metrics: Port
    extproc_metrics: Port
    api_metrics: Port
    worker_metrics: Port


def reserve_all(host: str, gateway: int, api: int) -> Ports:
    """Take every port or none; raise PortTaken."""
    return Ports(reserve(host, gateway, "--gateway-port"), reserve(host, api, "--api-port"), *(reserve("127.0.0.1") for _ in range(6)))
