"""Where a request comes from, as far as Envoy says so; and the network by which we count. Pure."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache


def client_address(headers: Mapping[str, str]) -> str | None:
    """Return the client's address as Envoy has found it: of the hops in `x-forwarded-for` only the last is Envoy's own word."""
    if external := headers.get("x-envoy-external-address"):
        return external
    return headers.get("x-forwarded-for", "").rpartition(",")[2].strip() or None


@lru_cache(10_000)
def network_of(address: str) -> str | None:
    """Return the network of a client's address, `192.0.2.0/24` or `2001:db8::/48`; None for what is no address."""
    try:
        parsed = ipaddress.ip_address(address.strip())
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))
