"""Who is at the other end, when proxies stand between."""

from ipaddress import ip_network

import pytest

from controlplane.client_address import block_of, client_address

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("fd00::1", "[2001:db8::1]:443", "2001:db8::1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_a_proxy_is_believed_only_when_it_is_ours(peer: str, forwarded: str, address: str) -> None:
    assert client_address(peer, forwarded, TRUSTED) == address


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    assert client_address("10.0.0.1", "198.51.100.1", ()) == "10.0.0.1"


def test_a_very_long_list_of_hops_is_read_from_its_end_only() -> None:
    assert client_address("10.0.0.1", "198.51.100.1," + ",".join(["10.0.0.2"] * 1000), TRUSTED) == "10.0.0.2"


@pytest.mark.parametrize(
    ("address", "block"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"), ("::ffff:192.0.2.1", "192.0.2.1"), ("", ""), ("local", "local")],
)
def test_a_subscriber_has_one_block(address: str, block: str) -> None:
    assert block_of(address) == block
