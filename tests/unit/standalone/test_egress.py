"""What the services of one machine may call."""

from standalone.egress import allowed_networks


def test_this_machine_and_engines_that_are_named_by_address() -> None:
    assert allowed_networks([], "") == "127.0.0.0/8,::1/128"
    urls = ["http://192.168.1.5:8000", "http://[fd00::1]:8000", "http://gpu.lan:8000", "http://192.168.1.5:8001"]
    assert allowed_networks(urls, " 10.0.0.0/8 ") == "127.0.0.0/8,::1/128,192.168.1.5,fd00::1,10.0.0.0/8"
