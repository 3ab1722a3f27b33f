"""Which networks the services of one machine may call."""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.0/8", "::1/128")


def allowed_networks(engine_urls: Iterable[str], configured: str) -> str:
    """Return `IAS_EGRESS_ALLOWED_NETWORKS`: loopback, the engines that are named by their address, and what is configured."""
    return ",".join(dict.fromkeys((*LOOPBACK, *filter(None, map(_address, engine_urls)), *filter(None, (configured.strip(),)))))


def _address(url: str) -> str:
    host = urlsplit(url).hostname or ""
    try:
        return str(ip_address(host))
    except ValueError:
        return ""
