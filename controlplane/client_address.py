"""The address of a client: that of the connection, or what a trusted proxy says. Pure.

`X-Forwarded-For` is believed from the right, as far as each hop is one of ours (RFC 7239 §8.1): what a stranger writes into it
stands to the left of what our own proxy added, and is never reached.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_MAX_HOPS = 20
_SUBSCRIBER_PREFIX = 64


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Return the address of the nearest hop that is not a trusted proxy; `peer` is the other end of the connection."""
    address = peer
    for hop in reversed(forwarded_for.split(",")[-_MAX_HOPS:]):
        if not _is_one_of(address, trusted):
            break
        if (earlier := _plain(hop)) is None:
            break
        address = earlier
    return address


def block_of(address: str) -> str:
    """Return what one subscriber has: an IPv4 address, or the /64 of an IPv6 one, in which a stranger can choose any."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((parsed, _SUBSCRIBER_PREFIX), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _is_one_of(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)


def _plain(hop: str) -> str | None:
    """An address without the port that some proxies add."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
