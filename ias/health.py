"""`grpc.health.v1` for every transport: Check only.

Watch is answered UNIMPLEMENTED, which clients read as "always healthy"; Envoy and Kubernetes use Check. A Watch would hold
every drain for its whole grace.
"""

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from ias.transport import Call, Status, UnaryMethod

CHECK = "/grpc.health.v1.Health/Check"


class Health:
    """SERVING for the server as a whole ("") and for each of its services, until it drains."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = frozenset(("", *services))
        self._answer = _encode(HealthCheckResponse.SERVING)

    def method(self) -> UnaryMethod:
        """The handler to serve beside the others."""
        return UnaryMethod(CHECK, self._check)

    def stop_serving(self) -> None:
        """Answer NOT_SERVING from now on, so that callers go elsewhere before the server closes."""
        self._answer = _encode(HealthCheckResponse.NOT_SERVING)

    def _check(self, calls: Sequence[Call]) -> None:
        for call in calls:
            try:
                service = HealthCheckRequest.FromString(call.message).service
            except DecodeError:
                call.fail(Status.INVALID_ARGUMENT, "not a HealthCheckRequest")
                continue
            if service in self._services:
                call.reply(self._answer)
            else:
                call.fail(Status.NOT_FOUND, "unknown service")


def _encode(status: HealthCheckResponse.ServingStatus) -> bytes:
    encoded: bytes = HealthCheckResponse(status=status).SerializeToString()
    return encoded
