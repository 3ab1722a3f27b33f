"""The engine's HTTP surface: vLLM's paths. What all inference paths share is here: read the body, check the model, fail if asked to."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from standalone.engine_simulator import behaviour, chat, embeddings, messages, responses
from standalone.engine_simulator.behaviour import Behaviour, Reports
from standalone.engine_simulator.generation import Body, generate
from standalone.engine_simulator.http import Exchange
from standalone.engine_simulator.meters import Meters
from standalone.engine_simulator.spelling import BadRequest, Json, Spelling

_json = msgspec.json.Encoder()
_EMBEDDINGS = "/v1/embeddings"
_MESSAGES = "/v1/messages"


@dataclass(frozen=True, slots=True)
class Engine:
    """What is served and how; `models` empty: any name is a model."""

    models: tuple[str, ...]
    default: Behaviour = field(default_factory=Behaviour)
    meters: Meters = field(default_factory=Meters)
    started_at: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        for model in self.models:
            self.meters.show(model)

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        if exchange.method == "POST" and (exchange.path in _SPELLINGS or exchange.path == _EMBEDDINGS):
            await self._infer(exchange)
            return
        match exchange.path:
            case "/health":
                await exchange.reply(200, "text/plain", b"")
            case "/metrics":
                await exchange.reply(200, CONTENT_TYPE_LATEST, generate_latest(self.meters.registry))
            case "/v1/models":
                await exchange.reply(200, "application/json", _json.encode(self._models()))
            case _:
                await exchange.reply(404, "application/json", _json.encode({"detail": "Not Found"}))

    async def _infer(self, exchange: Exchange) -> None:
        how = self.default
        try:
            body = msgspec.json.decode(exchange.body, type=dict)
            how = behaviour.parse(exchange.headers.get(behaviour.HEADER, ""), self.default)
            if how.stall_before:
                await asyncio.Event().wait()
            await asyncio.sleep(how.slow_headers_ms / 1000)
            await self._reply(exchange, body, how)
        except BadRequest as refused:
            await _refuse(exchange, 400, str(refused))
        except ValueError as error:
            await _refuse(exchange, 400, str(error))

    async def _reply(self, exchange: Exchange, body: Json, how: Behaviour) -> None:
        model, response_id = body.get("model"), uuid.uuid4().hex
        if how.status != 200:
            await _refuse(exchange, how.status, f"The simulator was asked to answer {how.status}.")
        elif not (isinstance(model, str) and model and (not self.models or model in self.models)):
            await _refuse(exchange, 404, f"The model `{model}` does not exist.", "model")
        elif exchange.path == _EMBEDDINGS:
            await self._embed(exchange, body, how, response_id)
        else:
            spelling = _SPELLINGS[exchange.path](body, how.usage, response_id, int(time.time()))
            if how.reset_after == 0:
                await exchange.reset()
            await generate(exchange, spelling, how, self.meters)

    async def _embed(self, exchange: Exchange, body: Json, how: Behaviour, response_id: str) -> None:
        answer, prompt_tokens = embeddings.answer(body, response_id, int(time.time()))
        if how.reset_after == 0:
            await exchange.reset()
        run = self.meters.begin(exchange.headers.get("x-request-id", ""), body["model"], exchange.path, prompt_tokens)
        try:
            await Body(exchange, how).whole(200, _json.encode(answer))
        finally:
            run.end("stop")

    def _models(self) -> Json:
        kept = {"object": "model", "created": self.started_at, "owned_by": "vllm", "parent": None, "max_model_len": 131_072}
        return {"object": "list", "data": [{"id": name, "root": name, **kept} for name in self.models]}


async def _refuse(exchange: Exchange, status: int, message: str, param: str | None = None) -> None:
    error = messages.error(status, message) if exchange.path == _MESSAGES else chat.error(status, message, param)
    await exchange.reply(status, "application/json", _json.encode(error))


def _chat(body: Json, reports: Reports, response_id: str, created: int) -> Spelling:
    return chat.parse(body, chat=True, reports=reports, response_id=response_id, created=created)


def _text(body: Json, reports: Reports, response_id: str, created: int) -> Spelling:
    return chat.parse(body, chat=False, reports=reports, response_id=response_id, created=created)


def _response(body: Json, reports: Reports, response_id: str, created: int) -> Spelling:
    return responses.parse(body, reports=reports, response_id=response_id, created=created)


def _message(body: Json, reports: Reports, response_id: str, _: int) -> Spelling:
    return messages.parse(body, reports=reports, response_id=response_id)


_SPELLINGS: dict[str, Callable[[Json, Reports, str, int], Spelling]] = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _text,
    "/v1/responses": _response,
    _MESSAGES: _message,
}
