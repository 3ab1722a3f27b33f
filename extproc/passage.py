"""An answer that passes through us because it may have to be ended: what has passed, what waits, and where it ends. Pure.

Bytes wait only between the edge of the hold and the store's answer, never longer than the patience of the caller, and never more than
`_MAX_WAITING` of them.
"""

from extproc.bodies import SseBody
from extproc.estimating import count, output_so_far, prompt_tokens
from extproc.holding import Hold
from extproc.learning import Ratios
from extproc.tokens import Tokens
from ias.context import RequestContext
from ratelimit.ports import Held

_MAX_WAITING = 256 * 1024


class Passage:
    """One answer, with the hold that it was admitted with."""

    __slots__ = ("_body", "_context", "_prompt", "_ratios", "_waiting", "hold")

    def __init__(self, body: SseBody, context: RequestContext, ratios: Ratios) -> None:
        self._body = body
        self._context = context
        self._ratios = ratios
        self._prompt = prompt_tokens(context, ratios)
        self._waiting = bytearray()
        self.hold = Hold(context.held_tokens, context.top_up_tokens)

    @property
    def waits(self) -> bool:
        """Whether bytes wait for the store."""
        return bool(self._waiting)

    def take(self, data: bytes, end: bool) -> tuple[bytes, int]:
        """Take bytes of the engine; return those to send now, and how many tokens to ask the store for. At the end nothing waits."""
        passed = self._body.feed(data, end)
        self._waiting += data if passed is None else passed
        if end or self._body.is_whole():
            return self._release(), 0
        used = self._used()
        ask = self.hold.ask(used)
        if self.hold.covers(used) or len(self._waiting) > _MAX_WAITING:
            return self._release(), ask
        return b"", ask

    def answered(self, held: Held | None) -> tuple[bytes, int, bool]:
        """Take the store's answer; return the bytes to send now, how many more tokens to ask for, and whether the answer ends with them."""
        used = self._used()
        refused = self.hold.answered(held, used)
        if self._body.is_whole():
            return b"", 0, False
        if refused:
            return self._release() + self._body.ending(self._tokens()), 0, True
        ask = self.hold.ask(used)
        return self._release() if self.hold.covers(used) else b"", ask, False

    def lose_patience(self) -> bytes:
        """The store did not answer in time: what waits passes."""
        self.hold.lose_patience()
        return self._release()

    def _used(self) -> int:
        seen = self._body.seen
        return (self._prompt if seen.input is None else seen.input) + output_so_far(seen, self._ratios)

    def _tokens(self) -> Tokens:
        return count(self._context, self._body.seen, self._ratios, 0, streams=True)

    def _release(self) -> bytes:
        waiting = bytes(self._waiting)
        self._waiting.clear()
        return waiting
