"""Health as a transport of its own would see it: grpcio-testing drives the handler without a socket."""

from typing import Any

import grpc
import grpc_testing
import pytest
from grpc_health.v1 import health_pb2

from ias.health import CHECK, Health
from ias.transport import Status

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"]
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
CODES = {code.value[0]: code for code in grpc.StatusCode}


class OneCall:
    """A call of `ias.transport` on a context of grpcio-testing."""

    def __init__(self, message: bytes, context: Any) -> None:
        self.message = message
        self.answer = b""
        self._context = context

    def reply(self, message: bytes) -> None:
        self.answer = message

    def fail(self, status: Status, reason: str) -> None:
        self._context.set_code(CODES[status])
        self._context.set_details(reason)


class Servicer:
    def __init__(self, health: Health) -> None:
        self._health = health

    def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802 -- gRPC's name
        call = OneCall(request.SerializeToString(), context)
        self._health.method().handle([call])
        return health_pb2.HealthCheckResponse.FromString(call.answer)


@pytest.fixture
def health() -> Health:
    return Health(["ias.Example"])


@pytest.fixture
def server(health: Health) -> grpc_testing.Server:
    return grpc_testing.server_from_dictionary({SERVICE: Servicer(health)}, grpc_testing.strict_real_time())


def check(server: grpc_testing.Server, service: str) -> tuple[int, grpc.StatusCode]:
    rpc = server.invoke_unary_unary(SERVICE.methods_by_name["Check"], (), health_pb2.HealthCheckRequest(service=service), 5)
    response, _, code, _ = rpc.termination()
    return response.status, code


@pytest.mark.parametrize("service", ["", "ias.Example"])
def test_serving_until_it_stops(server: grpc_testing.Server, health: Health, service: str) -> None:
    assert check(server, service) == (SERVING, grpc.StatusCode.OK)
    health.stop_serving()
    assert check(server, service) == (NOT_SERVING, grpc.StatusCode.OK)


def test_an_unknown_service_is_not_found(server: grpc_testing.Server) -> None:
    assert check(server, "ias.Nobody")[1] is grpc.StatusCode.NOT_FOUND


def test_the_path_is_that_of_the_standard() -> None:
    assert f"/{SERVICE.full_name}/Check" == CHECK
