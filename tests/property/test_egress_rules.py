"""Which addresses may be called: nothing that is not public, but for what the operator's list has."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.client_address import Network
from controlplane.egress.rules import Address, judge, judge_all


def inside(network: Network) -> st.SearchStrategy[Address]:
    return st.integers(0, network.num_addresses - 1).map(lambda number: network[number])


V4 = st.one_of(st.ip_addresses(v=4), st.sampled_from([ip_network(n) for n in ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16")]).flatmap(inside))
V6 = st.one_of(
    st.ip_addresses(v=6),
    st.sampled_from([ip_network(n) for n in ("fc00::/7", "fe80::/10", "2001::/16", "64:ff9b::/96")]).flatmap(inside),
)
ADDRESSES = V4 | V6
EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
PUBLIC = ("8.8.8.8", "1.1.1.1", "151.101.0.223", "2606:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8")


def mapped(address: IPv4Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}")


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_may_be_called(text: str) -> None:
    assert judge(ip_address(text), ()) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("10.0.0.5", "a private network (10.0.0.0/8)"),
        ("172.31.255.255", "a private network (172.16.0.0/12)"),
        ("192.168.1.1", "a private network"),
        ("127.0.0.53", "a loopback network"),
        ("169.254.169.254", "a link-local network"),
        ("100.100.100.200", "a carrier's private network"),
        ("192.0.0.170", "a network of protocols"),
        ("198.19.0.1", "a network for benchmarks"),
        ("203.0.113.7", "a network for documentation"),
        ("192.88.99.1", "a network that leads to IPv4 addresses"),
        ("0.0.0.0", "an unspecified network (0.0.0.0/8), where nobody"),
        ("224.0.0.1", "a multicast network"),
        ("255.255.255.255", "a reserved network"),
        ("::", "an unspecified network"),
        ("::1", "a loopback network"),
        ("::10.0.0.1", "an IPv6 network that is not public"),
        ("::ffff:10.0.0.1", "10.0.0.1 is in a private network"),
        ("::ffff:0:10.0.0.1", "an IPv6 network that is not public"),
        ("64:ff9b::a00:1", "a network that leads to IPv4 addresses (64:ff9b::/96)"),
        ("64:ff9b:1::a00:1", "a network that leads to IPv4 addresses (64:ff9b:1::/48)"),
        ("2002:a00:1::", "a network that leads to IPv4 addresses"),
        ("2001:0:a00:1::", "a network of protocols"),
        ("2001:db8::1", "a network for documentation"),
        ("3fff::1", "a network for documentation"),
        ("5f00::1", "an IPv6 network that is not public"),
        ("fd00:ec2::254", "a private network (fc00::/7)"),
        ("fec0::1", "a private network"),
        ("fe80::1%eth0", "a link-local network"),
        ("ff02::1", "a multicast network"),
    ],
)
def test_what_is_not_public_is_denied_and_the_reason_says_what_it_is(text: str, kind: str) -> None:
    assert kind in str(judge(ip_address(text), ()))


def test_the_reason_says_what_to_do() -> None:
    assert "add it to IAS_EGRESS_ALLOWED_NETWORKS" in str(judge(ip_address("10.0.0.5"), ()))
    assert "IAS_EGRESS_ALLOWED_NETWORKS" not in str(judge(ip_address("0.0.0.0"), ()))


@given(ADDRESSES)
def test_nothing_is_called_that_the_standard_library_does_not_hold_for_public(address: Address) -> None:
    plain = getattr(address, "ipv4_mapped", None) or address
    assert plain.is_global or judge(address, ()) is not None


@given(V4)
def test_an_address_is_the_same_in_its_ipv6_form(address: IPv4Address) -> None:
    assert judge(mapped(address), ()) == judge(address, ())
    assert judge(mapped(address), EVERYWHERE) == judge(address, EVERYWHERE)


@given(V4)
def test_a_list_that_has_nat64_opens_no_way_to_denied_addresses(address: IPv4Address) -> None:
    translated = IPv6Address(int(IPv6Address("64:ff9b::")) | int(address))
    assert judge(translated, ()) is not None
    assert (judge(translated, (ip_network("64:ff9b::/96"),)) is None) == (judge(address, ()) is None)


@given(ADDRESSES, st.integers(0, 32))
def test_an_allowed_network_allows_its_addresses_and_no_others(address: Address, prefix: int) -> None:
    address = getattr(address, "ipv4_mapped", None) or address
    own = ip_network((address, prefix if address.version == 4 else prefix * 4), strict=False)
    before, after = judge(address, ()), judge(address, (own,))
    inner = isinstance(address, IPv6Address) and (address.sixtofour is not None or address in ip_network("64:ff9b::/96"))
    assert (after is None) or before.special.never or inner  # type: ignore[union-attr]
    other = ip_network("198.51.100.0/24" if address.version == 6 else "fd00::/8")
    assert judge(address, (other,)) == before


@given(ADDRESSES)
def test_with_everything_allowed_only_what_is_nobodys_address_stays_denied(address: Address) -> None:
    denial = judge(address, EVERYWHERE)
    assert denial is None or denial.special.never


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.255.255.250", "ff02::1", "240.0.0.1", "255.255.255.255", "::ffff:224.0.0.1"]
)
def test_what_is_nobodys_address_stays_denied_with_everything_allowed(text: str) -> None:
    denial = judge(ip_address(text), EVERYWHERE)
    assert denial is not None
    assert denial.special.never


@given(st.lists(ADDRESSES, min_size=1))
def test_a_name_is_as_bad_as_its_worst_address(addresses: list[Address]) -> None:
    assert (judge_all(addresses, ()) is None) == all(judge(address, ()) is None for address in addresses)
