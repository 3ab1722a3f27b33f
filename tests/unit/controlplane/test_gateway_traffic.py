"""What a publication says goes together with what its engines say (docs/decisions/0023)."""

import pytest

from controlplane.gateway.ports import GatewayTraffic
from controlplane.gateway.traffic import combined

NOTHING = GatewayTraffic()


@pytest.mark.parametrize(
    ("own", "engines", "expected"),
    [
        (NOTHING, [NOTHING], NOTHING),
        (NOTHING, [GatewayTraffic(max_requests=8, connect_timeout_ms=100)], GatewayTraffic(max_requests=8, connect_timeout_ms=100)),
        # Numbers: the smaller one.
        (GatewayTraffic(max_requests=4), [GatewayTraffic(max_requests=8)], GatewayTraffic(max_requests=4)),
        (GatewayTraffic(max_requests=40), [GatewayTraffic(max_requests=8)], GatewayTraffic(max_requests=8)),
        (GatewayTraffic(max_connections=4), [NOTHING], GatewayTraffic(max_connections=4)),
        # Of a pool the sum, when every engine has one.
        (NOTHING, [GatewayTraffic(max_requests=8), GatewayTraffic(max_requests=2)], GatewayTraffic(max_requests=10)),
        (NOTHING, [GatewayTraffic(max_requests=8), NOTHING], NOTHING),
        # Times: its own, else the longest.
        (GatewayTraffic(silence_timeout_s=9), [GatewayTraffic(silence_timeout_s=5)], GatewayTraffic(silence_timeout_s=9)),
        (GatewayTraffic(connect_timeout_ms=50), [GatewayTraffic(connect_timeout_ms=900)], GatewayTraffic(connect_timeout_ms=50)),
        (NOTHING, [GatewayTraffic(answer_timeout_s=5), GatewayTraffic(answer_timeout_s=60)], GatewayTraffic(answer_timeout_s=60)),
        (NOTHING, [GatewayTraffic(answer_timeout_s=5), NOTHING], NOTHING),
    ],
)
def test_what_holds(own: GatewayTraffic, engines: list[GatewayTraffic], expected: GatewayTraffic) -> None:
    assert combined(own, engines) == expected
