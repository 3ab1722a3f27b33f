"""Coroutine functions as handlers: every call gets one answer, whatever happens in the coroutine."""

import asyncio
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from ias.coroutine_handlers import CallFailed, unary
from ias.transport import Metadata, Status


@dataclass
class RecordedCall:
    message: bytes
    deadline: float | None = None
    metadata: Metadata = ()
    answers: list[object] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def reply(self, message: bytes) -> None:
        self.answers.append(message)
        self.answered.set()

    def fail(self, status: Status, reason: str) -> None:
        self.answers.append((status, reason))
        self.answered.set()


async def serve(message: bytes) -> bytes:
    if message == b"refuse":
        raise CallFailed(Status.NOT_FOUND, "nothing of that name")
    if message == b"break":
        raise RuntimeError("a secret")
    if message == b"time out within":
        raise TimeoutError
    if message == b"hang":
        await asyncio.Event().wait()
    return message.upper()


INTERNAL = (Status.INTERNAL, "internal error")


@pytest.mark.parametrize(
    ("message", "answer", "logged"),
    [
        (b"hello", b"HELLO", []),
        (b"refuse", (Status.NOT_FOUND, "nothing of that name"), []),
        (b"break", INTERNAL, ["unary handler failed"]),
        (b"time out within", INTERNAL, ["unary handler failed"]),
    ],
)
async def test_each_call_is_answered_once(message: bytes, answer: object, logged: list[str]) -> None:
    call = RecordedCall(message)
    with capture_logs() as lines:
        unary("/a.Service/Method", serve).handle([call])
        await call.answered.wait()
    assert call.answers == [answer]
    assert [line["event"] for line in lines] == logged


async def test_calls_of_a_batch_run_side_by_side() -> None:
    stuck, quick = RecordedCall(b"hang"), RecordedCall(b"hello")
    unary("/a.Service/Method", serve).handle([stuck, quick])
    await quick.answered.wait()
    assert (stuck.answers, quick.answers) == ([], [b"HELLO"])


async def test_a_coroutine_ends_at_the_deadline() -> None:
    call = RecordedCall(b"hang", deadline=asyncio.get_running_loop().time())
    unary("/a.Service/Method", serve).handle([call])
    await call.answered.wait()
    assert call.answers == [(Status.DEADLINE_EXCEEDED, "the deadline has passed")]
