"""Which addresses may be called. Pure.

Nobody's word counts but the address itself: names are resolved first, and what stands inside of another address (IPv4 in IPv6) is
judged too. What is not plainly public is denied, unless the operator's list of networks has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from controlplane.client_address import Network

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Special:
    """A network that is not the public internet. `never`: nobody can be called there, whatever a list says."""

    network: Network
    kind: str
    never: bool = False


def _special(kind: str, *networks: str, never: bool = False) -> list[Special]:
    return [Special(ip_network(network), kind, never) for network in networks]


_SPECIAL = (
    *_special("an unspecified network", "0.0.0.0/8", "::/128", never=True),
    *_special("a multicast network", "224.0.0.0/4", "ff00::/8", never=True),
    *_special("a reserved network", "240.0.0.0/4", never=True),
    *_special("a loopback network", "127.0.0.0/8", "::1/128"),
    *_special("a private network", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    *_special("a link-local network", "169.254.0.0/16", "fe80::/10"),
    *_special("a carrier's private network", "100.64.0.0/10"),
    *_special("a network of protocols", "192.0.0.0/24", "2001::/23"),
    *_special("a network for documentation", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
    *_special("a network for benchmarks", "198.18.0.0/15"),
    *_special("a network that leads to IPv4 addresses", "192.88.99.0/24", "2002::/16", "64:ff9b::/96", "64:ff9b:1::/48"),
    *_special("an IPv6 network that is not public", "::/3", "4000::/2", "8000::/1"),
)
"""IANA's special-purpose address registries, the first that fits counts. Last, all of IPv6 but 2000::/3, which alone is assigned as public."""
_NAT64 = ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Denial:
    """Why an address is not called, and what to do."""

    address: Address
    special: Special

    def __str__(self) -> str:
        return f"{self.address} {self.reason}"

    @property
    def reason(self) -> str:
        """The rest of a sentence that begins with the address."""
        where = f"is in {self.special.kind} ({self.special.network})"
        if self.special.never:
            return f"{where}, where nobody can be called"
        return f"{where}: if it is to be called, add it to IAS_EGRESS_ALLOWED_NETWORKS"


def judge(address: Address, allowed: Sequence[Network]) -> Denial | None:
    """Return why an address is denied, None when it may be called. An IPv4 address inside of an IPv6 one must be allowed itself, too."""
    address = _as_called(address)
    special = next((special for special in _SPECIAL if address in special.network), None)
    if special is None:
        return None
    if special.never or not any(address in network for network in allowed):
        return Denial(address, special)
    inner = _inner(address)
    return judge(inner, allowed) if inner is not None else None


def judge_all(addresses: Sequence[Address], allowed: Sequence[Network]) -> Denial | None:
    """Return the first denial: a name with one address that is denied is denied as a whole."""
    return next((denial for address in addresses if (denial := judge(address, allowed)) is not None), None)


def _as_called(address: Address) -> Address:
    """Systems call a v4-mapped address (RFC 4291 §2.5.5.2) by IPv4; the zone of a link-local one belongs to no network."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def _inner(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that a translator on the way would call (RFC 6052 §2.1, RFC 3056 §2)."""
    if isinstance(address, IPv4Address):
        return None
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else address.sixtofour
