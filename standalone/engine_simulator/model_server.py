"""A model server without tokens: KServe's v1 and v2 REST (https://kserve.github.io/website/docs/concepts/architecture/data-plane), no more."""

import asyncio
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

import msgspec
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from standalone.engine_simulator import behaviour
from standalone.engine_simulator.behaviour import Behaviour
from standalone.engine_simulator.classifier import classify, explain, infer, instances
from standalone.engine_simulator.generation import Body
from standalone.engine_simulator.http import Exchange
from standalone.engine_simulator.meters import Meters
from standalone.engine_simulator.spelling import BadRequest, Json

_V1 = re.compile(r"/v1/models/([^/]+?)(?::(predict|explain))?")
_V2 = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(?:/(infer|ready))?")
_PLATFORM = "simulated_classifier"
_json = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class ModelServer:
    """What is served and how; `models` empty: any name is a model."""

    models: tuple[str, ...]
    default: Behaviour = field(default_factory=Behaviour)
    meters: Meters = field(default_factory=Meters)

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        if exchange.path == "/metrics":
            await exchange.reply(200, CONTENT_TYPE_LATEST, generate_latest(self.meters.registry))
            return
        status, content = 200, {}
        try:
            how = behaviour.parse(exchange.headers.get(behaviour.HEADER, ""), self.default)
            if how.stall_before:
                await asyncio.Event().wait()
            await asyncio.sleep(how.slow_headers_ms / 1000)
            if how.reset_after == 0:
                await exchange.reset()
            if how.status != 200:
                status, content = how.status, {"error": f"The simulator was asked to answer {how.status}."}
            else:
                status, content = self._said(exchange)
        except (BadRequest, ValueError) as error:
            how, status, content = self.default, 400, {"error": str(error)}
        await Body(exchange, how).whole(status, _json.encode(content))

    def _said(self, exchange: Exchange) -> tuple[int, Json]:
        if exchange.method == "GET" and (about := self._about(exchange.path)) is not None:
            return 200, about
        found = _V1.fullmatch(exchange.path) or _V2.fullmatch(exchange.path)
        if found is None:
            return 404, {"detail": "Not Found"}
        model = unquote(found[1])
        if self.models and model not in self.models:
            return 404, {"error": f"Model with name {model} does not exist."}
        if exchange.path.startswith("/v1/"):
            return self._v1(exchange, model, found[2])
        return self._v2(exchange, model, found[2], found[3])

    def _about(self, path: str) -> Json | None:
        match path:
            case "/":
                return {"status": "alive"}
            case "/v1/models" | "/v2/models":
                return {"models": list(self.models)}
            case "/v2":
                return {"name": "simulator", "version": "1", "extensions": ["binary_tensor_data"]}
            case "/v2/health/live":
                return {"live": True}
            case "/v2/health/ready":
                return {"ready": True}
        return None

    def _v1(self, exchange: Exchange, model: str, verb: str | None) -> tuple[int, Json]:
        match exchange.method, verb:
            case "GET", None:
                return 200, {"name": model, "ready": True}
            case "POST", "predict":
                return self._counted(exchange, model, {"predictions": [classify(row) for row in instances(_body(exchange.body))]})
            case "POST", "explain":
                return self._counted(exchange, model, {"explanations": [explain(row) for row in instances(_body(exchange.body))]})
        return 405, {"detail": "Method Not Allowed"}

    def _v2(self, exchange: Exchange, model: str, version: str | None, verb: str | None) -> tuple[int, Json]:
        named = {"model_name": model, **({"model_version": version} if version else {})}
        match exchange.method, verb:
            case "GET", None:
                tensors = {"inputs": [{"name": "x", "shape": [-1, -1], "datatype": "FP32"}]}
                return 200, {"name": model, "versions": [version or "1"], "platform": _PLATFORM, **tensors}
            case "GET", "ready":
                return 200, {"name": model, "ready": True}
            case "POST", "infer":
                length = exchange.headers.get("inference-header-content-length", str(len(exchange.body)))
                if not length.isdecimal() or int(length) > len(exchange.body):
                    raise BadRequest("inference-header-content-length is not a length within the body")
                head, tail = exchange.body[: int(length)], exchange.body[int(length) :]
                return self._counted(exchange, model, {**named, **infer(_body(head), tail)})
        return 405, {"detail": "Method Not Allowed"}

    def _counted(self, exchange: Exchange, model: str, answer: Json) -> tuple[int, Json]:
        self.meters.begin(exchange.headers.get("x-request-id", ""), model, exchange.path, 0).end("stop")
        return 200, answer


def _body(raw: bytes) -> object:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise BadRequest(f"Unrecognized request format: {error}") from error
