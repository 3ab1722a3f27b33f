"""One request as Envoy tells it. Pure."""

from collections.abc import Mapping

import msgspec

from ias import headers as names
from ias.errors import invalid_request, service_unavailable

MAX_REQUEST_ID_LENGTH = 128


class Incoming(msgspec.Struct, frozen=True):
    """One request as Envoy tells it. `target` is path and query; header names are lower-case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    host: str = ""
    """As the client wrote it, with a port perhaps."""

    @property
    def request_id(self) -> str:
        """The id that Envoy gave it; empty when Envoy is not set up to."""
        return self.headers.get(names.REQUEST_ID, "")

    @property
    def bound_request_id(self) -> str:
        """The id that the signed context is bound to, so that without one nothing passes; raises ApiError."""
        if not self.request_id:
            raise service_unavailable("The gateway")
        if len(self.request_id) > MAX_REQUEST_ID_LENGTH:
            raise invalid_request(f"The header x-request-id is longer than {MAX_REQUEST_ID_LENGTH} characters.", code="request_id_too_long")
        return self.request_id
