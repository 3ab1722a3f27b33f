"""The Prometheus endpoint, over a real socket."""

import urllib.request

from ias import telemetry


def test_metrics_are_served_on_the_port_that_is_told() -> None:
    port = telemetry.expose("127.0.0.1:0")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    assert "# HELP ias_streams_open Requests that extproc follows now." in text
