"""Generates an answer token by token, counts each as it is made, and fails where it was asked to."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from standalone.engine_simulator import encoding, tokens
from standalone.engine_simulator.behaviour import Behaviour
from standalone.engine_simulator.http import Exchange
from standalone.engine_simulator.meters import End, Meters, Run
from standalone.engine_simulator.spelling import Choice, Event, Spelling, used_by_all, used_by_choice

_json = msgspec.json.Encoder()
_TRAILERS = (("x-engine-trailer", "1"),)


class Body:
    """The answer on its way: coded, cut into pieces, and reset, as the request wants it."""

    def __init__(self, exchange: Exchange, how: Behaviour) -> None:
        self._exchange = exchange
        self._how = how
        self._encoder = encoding.encoder(how.encoding)
        self._sent = 0

    async def whole(self, status: int, content: bytes) -> None:
        """Send a whole JSON answer, with its length where that is known before."""
        coded = self._encoder.encode(content) + self._encoder.finish()
        self._begin(status, "application/json", None if self._how.trailers else len(coded))
        await self._send(coded)
        self._exchange.finish(_TRAILERS if self._how.trailers else ())

    async def begin_stream(self) -> None:
        """Send the head of an event stream."""
        self._begin(200, "text/event-stream; charset=utf-8", None)

    async def write(self, data: bytes) -> None:
        """Send so much of a stream that the client can read all of `data`."""
        await self._send(self._encoder.encode(data))

    async def finish(self) -> None:
        """End a stream."""
        await self._send(self._encoder.finish())
        self._exchange.finish(_TRAILERS if self._how.trailers else ())

    async def reset(self) -> None:
        await self._exchange.reset()

    def _begin(self, status: int, content_type: str, length: int | None) -> None:
        if self._how.early:
            self._exchange.inform(103, [("link", "</model>; rel=preload")])
        coding = [] if self._how.encoding == "identity" else [("content-encoding", self._how.encoding)]
        self._exchange.start(status, [("content-type", content_type), *coding], length)

    async def _send(self, data: bytes) -> None:
        limit = self._how.reset_byte
        size = self._how.split or len(data)
        for start in range(0, len(data), max(1, size)):
            piece = data[start : start + size]
            if limit is not None and self._sent + len(piece) > limit:
                if kept := piece[: limit - self._sent]:
                    await self._exchange.write(kept)
                await self._exchange.reset()
            self._sent += len(piece)
            await self._exchange.write(piece)
            if self._how.split_ms:
                await asyncio.sleep(self._how.split_ms / 1000)


@dataclass(frozen=True, slots=True)
class Generation:
    """One request that is answered now."""

    spelling: Spelling
    how: Behaviour
    body: Body
    run: Run

    async def go(self) -> End:
        """Answer; return why it ended. Cancelled when the client goes."""
        length, finish = tokens.output_length(self.how.tokens, self.spelling.asked.cap)
        choice = list(tokens.pieces(self.spelling.asked.seed, length, finish, reasoning=self.how.reasoning, per_chunk=self.how.per_chunk))
        failed = await (self._stream if self.spelling.asked.stream else self._whole)(choice)
        return "error" if failed else finish

    async def _whole(self, pieces: Sequence[tokens.Piece]) -> bool:
        asked, each = self.spelling.asked, 0
        for step, piece in enumerate(pieces):
            await self._fault(step)
            await self._generate(piece, asked.choices)
            each = piece.generated
        thought = "".join(piece.text for piece in pieces if piece.thought)
        text = "".join(piece.text for piece in pieces if not piece.thought)
        choice = Choice(thought, text, (pieces[-1].finish if pieces else None) or "stop")
        answer = self.spelling.whole([choice] * asked.choices, used_by_all(asked.prompt_tokens, each, asked.choices, self.how))
        await self.body.whole(200, _json.encode(answer))
        return False

    async def _stream(self, pieces: Sequence[tokens.Piece]) -> bool:
        asked, how, sent = self.spelling.asked, self.how, 0
        await self.body.begin_stream()
        sent = await self._send(self.spelling.opening(used_by_choice(asked.prompt_tokens, 0, how)), sent)
        for piece in pieces:
            await asyncio.sleep(how.pace_ms * piece.tokens / 1000)
            used = used_by_choice(asked.prompt_tokens, piece.generated, how)
            for index in range(asked.choices):
                await self._fault(sent)
                if how.error_after is not None and sent >= how.error_after:
                    await self._send([self.spelling.failed()], sent)
                    await self._finish()
                    return True
                self.run.generated(piece.tokens)
                sent = await self._send(self.spelling.piece(index, piece, used), sent)
        each = pieces[-1].generated if pieces else 0
        used = used_by_all(asked.prompt_tokens, each, asked.choices, how)
        await self._fault(await self._send(self.spelling.closing(used), sent))
        await self._finish()
        return False

    async def _finish(self) -> None:
        if self.spelling.done:
            await self.body.write(self.spelling.done)
        await self.body.finish()

    async def _generate(self, piece: tokens.Piece, choices: int) -> None:
        await asyncio.sleep(self.how.pace_ms * piece.tokens / 1000)
        self.run.generated(piece.tokens * choices)

    async def _send(self, events: Iterable[Event], sent: int) -> int:
        for event in events:
            await self._fault(sent)
            name = b"" if event.name is None else b"event: %b\n" % event.name.encode()
            await self.body.write(b"%bdata: %b\n\n" % (name, _json.encode(event.data)))
            sent += 1
        return sent

    async def _fault(self, sent: int) -> None:
        """After the right number of events, reset or fall silent; nothing follows, and the task ends when the client is gone."""
        if sent == self.how.reset_after:
            await self.body.reset()
        if sent == self.how.stall_after:
            await asyncio.Event().wait()


async def generate(exchange: Exchange, spelling: Spelling, how: Behaviour, meters: Meters) -> None:
    """Answer one request, and count it whatever becomes of it."""
    asked = spelling.asked
    run = meters.begin(exchange.headers.get("x-request-id", ""), asked.model, exchange.path, asked.prompt_tokens)
    end: End = "abort"
    try:
        end = await Generation(spelling, how, Body(exchange, how), run).go()
    finally:
        if end == "abort":
            run.overrun(how.overrun)
        run.end(end)
