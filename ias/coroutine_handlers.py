"""Plain coroutine functions as handlers of unary calls, for methods where a task for each call costs nothing that matters."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ias import logs
from ias.transport import Call, Status, UnaryMethod

log = logs.get(__name__)


class CallFailed(Exception):
    """Raised by a handler: the call ends with this status; `reason` reaches the peer."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def unary(path: str, serve: Callable[[bytes], Awaitable[bytes]]) -> UnaryMethod:
    """A method that answers each call with what `serve` returns; it is cancelled at the call's deadline."""
    tasks: set[asyncio.Task[None]] = set()

    def handle(calls: Sequence[Call]) -> None:
        for call in calls:
            task = asyncio.get_running_loop().create_task(_answer(call, serve))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    return UnaryMethod(path, handle)


async def _answer(call: Call, serve: Callable[[bytes], Awaitable[bytes]]) -> None:
    try:
        async with asyncio.timeout_at(call.deadline) as limit:
            call.reply(await serve(call.message))
    except CallFailed as failure:
        call.fail(failure.status, failure.reason)
    except Exception as error:
        if isinstance(error, TimeoutError) and limit.expired():
            call.fail(Status.DEADLINE_EXCEEDED, "the deadline has passed")
        else:
            log.exception("unary handler failed")
            call.fail(Status.INTERNAL, "internal error")
