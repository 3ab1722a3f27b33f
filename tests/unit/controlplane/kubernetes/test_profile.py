"""What an installation may choose, and what is refused with a sentence that says what to change."""

from typing import Any

import pytest

from controlplane.kubernetes.labels import selector_of
from controlplane.kubernetes.profile import Endpoint, ProfileInvalid, read_profile

SMALLEST: dict[str, Any] = {
    "extauth": {"service": "extauth", "port": 9001},
    "extproc": {"unix": "/run/ias/extproc.sock"},
    "listeners": [{"name": "https", "port": 443, "certificate": "models-tls"}],
}


def test_the_smallest_profile_is_safe() -> None:
    profile = read_profile(SMALLEST)
    assert (profile.profile, profile.metering, profile.trusted_hops) == ("plain", "inline", 0)
    assert profile.extproc == Endpoint(unix="/run/ias/extproc.sock")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"listeners": []}, "needs a listener"),
        ({"listeners": [{"name": "http", "port": 80}]}, "needs a certificate"),
        ({"listeners": [{"name": "http", "port": 80, "certificate": "c", "plaintext": True}]}, "needs a certificate"),
        ({"listeners": [{"name": "Not A Name", "port": 80, "plaintext": True}]}, "no name for a listener"),
        ({"listeners": SMALLEST["listeners"] * 2}, "same name"),
        ({"listeners": [{"name": f"l{n}", "port": 443, "certificate": "c"} for n in range(65)]}, "at most 64 listeners"),
        ({"grpcListeners": [{"name": "grpc", "port": 443, "certificate": "c"}]}, "port of its own"),
        ({"extauth": {"service": "extauth"}}, "needs a port"),
        ({"extauth": {"service": "extauth", "host": "10.0.0.1", "port": 1}}, "exactly one"),
        ({"extproc": {"unix": "/" + "x" * 107}}, "at most 107"),
        ({"metering": "shadow", "envoyGateway": "1.8.1"}, "needs Envoy Gateway 1.9.0"),
        ({"envoyGateway": "1.7.0"}, "envoyGateway"),
        ({"profile": "other"}, "profile"),
        ({"unknownField": 1}, "unknownField"),
        ({"gateway": "Not_A_Name"}, "gateway"),
        ({"requestTimeoutS": 300}, "streamIdleTimeoutS"),
        ({"maxBodyBytes": "ten"}, "maxBodyBytes"),
    ],
)
def test_what_cannot_be_rendered_is_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProfileInvalid, match=reason):
        read_profile({**SMALLEST, **changed})


def test_the_selector_finds_what_the_labels_mark() -> None:
    assert selector_of("main") == "app.kubernetes.io/managed-by=ias,app.kubernetes.io/part-of=ias,ias.dev/gateway=main"
