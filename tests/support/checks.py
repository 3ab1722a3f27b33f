"""Envoy's side of `Check` without a transport: make the message, collect the answer, read it as Envoy would."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ias.transport import Call, Status
from protos.auth_pb2 import CheckRequest, CheckResponse

CHAT = b'{"model":"small","messages":[{"role":"user","content":"Hi"}]}'


@dataclass(frozen=True)
class Verdict:
    """What Envoy does with the answer. `status` is 200 also where extauth answered the client itself."""

    allowed: bool
    status: int
    body: bytes
    headers: Mapping[str, str]
    """For the upstream if it is allowed, else for the client."""
    client_headers: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()

    @property
    def code(self) -> str | None:
        return None if self.allowed else msgspec.json.decode(self.body).get("error", {}).get("code")


class FakeCall:
    """One call; `verdict` waits for the answer and fails if a second one comes."""

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def reply(self, message: bytes) -> None:
        self.answer.set_result(message)

    def fail(self, status: Status, reason: str) -> None:
        self.answer.set_exception(AssertionError(f"{status.name}: {reason}"))

    async def verdict(self) -> Verdict:
        return read_answer(await asyncio.wait_for(self.answer, 10))


def check_message(
    key: str | None = None,
    body: bytes = CHAT,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    message = CheckRequest()
    http = message.attributes.request.http
    http.method, http.path, http.raw_body = method, path, body
    http.headers.update({":path": path, ":method": method, "x-request-id": "req-1", **(headers or {})})
    if key is not None:
        http.headers["authorization"] = f"Bearer {key}"
    encoded: bytes = message.SerializeToString()
    return encoded


def read_answer(answer: bytes) -> Verdict:
    """Only `value` of a header counts, as in Envoy."""
    response = CheckResponse.FromString(answer)
    if response.WhichOneof("http_response") == "ok_response":
        ok = response.ok_response
        assert response.status.code == 0
        return Verdict(True, 200, b"", _headers(ok.headers), _headers(ok.response_headers_to_add), tuple(ok.headers_to_remove))
    denied = response.denied_response
    assert response.status.code != 0
    return Verdict(False, denied.status.code, denied.body.encode(), _headers(denied.headers))


def _headers(options: object) -> dict[str, str]:
    found = [(o.header.key, o.header.value) for o in options]  # type: ignore[attr-defined]
    assert all(o.append_action == 2 for o in options), "every header overwrites"  # type: ignore[attr-defined]
    assert len(dict(found)) == len(found)
    return dict(found)


async def ask(handle: Callable[[Sequence[Call]], None], *messages: bytes) -> list[Verdict]:
    """Hand messages over as one batch and wait for all answers."""
    calls = [FakeCall(message) for message in messages]
    handle(calls)
    return [await call.verdict() for call in calls]
