"""The simulator's HTTP surface: vLLM's paths on Starlette. Generation is counted token by token, as it happens."""

import asyncio
import itertools
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from standalone.engine_simulator import behaviour, bodies, connection, tokens
from standalone.engine_simulator.behaviour import Behaviour

_json = msgspec.json.Encoder()


class Meters:
    """vLLM's counters under their own names: the truth that metering is checked against."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["model_name", "engine"]
        self.prompt = Counter("vllm:prompt_tokens", "Number of prefill tokens processed.", labels, registry=self.registry)
        self.generation = Counter("vllm:generation_tokens", "Number of generation tokens processed.", labels, registry=self.registry)
        self.running = Gauge("vllm:num_requests_running", "Number of requests in model execution batches.", labels, registry=self.registry)


@dataclass(frozen=True, slots=True)
class Engine:
    """What is served and how; `models` empty: any name is a model."""

    models: tuple[str, ...]
    default: Behaviour = field(default_factory=Behaviour)
    dimensions: int = 64
    meters: Meters = field(default_factory=Meters)
    started_at: int = field(default_factory=lambda: int(time.time()))

    def serves(self, model: object) -> bool:
        """Tell whether the engine has a model of that name."""
        return isinstance(model, str) and bool(model) and (not self.models or model in self.models)


def create_app(engine: Engine) -> Starlette:
    """Make the application of one engine."""
    for model in engine.models:  # as in vLLM, the counters of a model exist before its first request
        engine.meters.prompt.labels(model, "0")
        engine.meters.generation.labels(model, "0")

    async def health(_: Request) -> Response:
        return Response()

    async def models(_: Request) -> Response:
        return JSONResponse(bodies.model_list(engine.models, engine.started_at))

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(generate_latest(engine.meters.registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/metrics", metrics),
            Route("/v1/models", models),
            Route("/v1/chat/completions", _Inference(engine, _chat), methods=["POST"]),
            Route("/v1/completions", _Inference(engine, _text), methods=["POST"]),
            Route("/v1/embeddings", _Inference(engine, _embed), methods=["POST"]),
        ]
    )


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request, with the raw ASGI channel: a simulated fault needs more than a response object can do."""

    engine: Engine
    behaviour: Behaviour
    request: Request
    body: bodies.Json
    send: Send

    async def reply(self, status: int, body: bodies.Json) -> None:
        content = _json.encode(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": content})


_Handler = Callable[[_Exchange], Awaitable[None]]


class _Inference:
    """What all inference paths share: read the body, check the model, fail if asked to, stop when the client goes."""

    def __init__(self, engine: Engine, handler: _Handler) -> None:
        self._engine = engine
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            exchange = await self._open(request, send)
        except ClientDisconnect:
            return
        except bodies.BadRequest as refused:
            await _Exchange(self._engine, self._engine.default, request, {}, send).reply(400, bodies.error(400, str(refused)))
            return
        work = asyncio.create_task(self._answer(exchange))
        gone = asyncio.create_task(_client_gone(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            work.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        if not work.cancelled() and (failure := work.exception()):
            raise failure

    async def _open(self, request: Request, send: Send) -> _Exchange:
        content = await request.body()
        try:
            body = msgspec.json.decode(content, type=dict)
            how = behaviour.parse(request.headers.get(behaviour.HEADER, ""), self._engine.default)
        except ValueError as error:
            raise bodies.BadRequest(str(error)) from None
        return _Exchange(self._engine, how, request, body, send)

    async def _answer(self, exchange: _Exchange) -> None:
        how = exchange.behaviour
        if how.stall_before:
            await asyncio.Event().wait()
        await asyncio.sleep(how.slow_headers_ms / 1000)
        if how.status != 200:
            await exchange.reply(how.status, bodies.error(how.status, f"The simulator was asked to answer {how.status}."))
        elif not self._engine.serves(model := exchange.body.get("model")):
            await exchange.reply(404, bodies.unknown_model(model))
        elif how.reset_after == 0:
            await _fault(exchange, 0)
        else:
            try:
                await self._handler(exchange)
            except bodies.BadRequest as refused:
                await exchange.reply(400, bodies.error(400, str(refused)))


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _chat(exchange: _Exchange) -> None:
    await _generate(exchange, bodies.parse_generation(exchange.body, chat=True))


async def _text(exchange: _Exchange) -> None:
    await _generate(exchange, bodies.parse_generation(exchange.body, chat=False))


async def _generate(exchange: _Exchange, request: bodies.Generation) -> None:
    prefix = "chatcmpl" if request.chat else "cmpl"
    answer = bodies.Answer(request, f"{prefix}-{uuid.uuid4().hex}", int(time.time()))
    meters = exchange.engine.meters
    running = meters.running.labels(request.model, "0")
    running.inc()
    try:
        meters.prompt.labels(request.model, "0").inc(request.prompt_tokens)
        await (_stream if request.stream else _complete)(exchange, answer)
    finally:
        running.dec()


async def _complete(exchange: _Exchange, answer: bodies.Answer) -> None:
    request, how = answer.request, exchange.behaviour
    length, finish = tokens.output_length(how.tokens, request.cap)
    generation = exchange.engine.meters.generation.labels(request.model, "0")
    texts = [""] * request.choices
    for step, word in enumerate(itertools.islice(tokens.words(request.seed), length)):
        if step in {how.reset_after, how.stall_after}:
            await _fault(exchange, step)
        await asyncio.sleep(how.pace_ms / 1000)
        for index in range(request.choices):
            texts[index] += word
            generation.inc()
    await exchange.reply(200, answer.whole(texts, finish, length * request.choices))


async def _stream(exchange: _Exchange, answer: bodies.Answer) -> None:
    request, how = answer.request, exchange.behaviour
    length, finish = tokens.output_length(how.tokens, request.cap)
    generation = exchange.engine.meters.generation.labels(request.model, "0")
    events = _Events(exchange)
    await events.begin()
    if request.chat:
        for index in range(request.choices):
            await events.send(answer.role(index))
    for step, word in enumerate(itertools.islice(tokens.words(request.seed), length), start=1):
        await asyncio.sleep(how.pace_ms / 1000)
        for index in range(request.choices):
            await events.ready()
            generation.inc()
            await events.send(answer.token(index, word, finish if step == length else None, step))
    if request.include_usage:
        await events.send(answer.final_usage(length * request.choices))
    await events.end()


class _Events:
    """Sends SSE events and counts them, to fail after the right one."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._sent = 0

    async def begin(self) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await self._exchange.send({"type": "http.response.start", "status": 200, "headers": headers})

    async def ready(self) -> None:
        """Fail here, before the next token is generated, if that was asked for."""
        how = self._exchange.behaviour
        if self._sent in {how.reset_after, how.stall_after}:
            await _fault(self._exchange, self._sent)

    async def send(self, event: bodies.Json) -> None:
        await self.ready()
        await self._write(b"data: %b\n\n" % _json.encode(event), more=True)
        self._sent += 1

    async def end(self) -> None:
        await self.ready()
        await self._write(b"data: [DONE]\n\n", more=False)

    async def _write(self, data: bytes, *, more: bool) -> None:
        await self._exchange.send({"type": "http.response.body", "body": data, "more_body": more})


async def _fault(exchange: _Exchange, sent: int) -> None:
    """Reset the connection or fall silent; either way nothing follows, and the task ends when the client is gone."""
    if sent == exchange.behaviour.reset_after:
        connection.reset(exchange.request.scope)
    await asyncio.Event().wait()


async def _embed(exchange: _Exchange) -> None:
    body = exchange.body
    sizes = bodies.embedding_sizes(body)
    dimensions = body.get("dimensions") or exchange.engine.dimensions
    encoding = body.get("encoding_format") or "float"
    if not isinstance(dimensions, int) or not 1 <= dimensions <= 8192:
        raise bodies.BadRequest("dimensions: expected a whole number from 1 to 8192")
    if encoding not in {"float", "base64"}:
        raise bodies.BadRequest("encoding_format: expected float or base64")
    exchange.engine.meters.prompt.labels(body["model"], "0").inc(sum(sizes))
    inputs = body["input"] if isinstance(body["input"], list) and len(sizes) > 1 else [body["input"]]
    vectors = [tokens.embedding(str(item), dimensions) for item in inputs]
    answer = bodies.embeddings(f"embd-{uuid.uuid4().hex}", int(time.time()), body["model"], vectors, sum(sizes), encoding)
    await exchange.reply(200, answer)
