"""Embeddings in vLLM's form. Pure."""

import base64
import struct

from standalone.engine_simulator import tokens
from standalone.engine_simulator.chat import sizes_of, usage
from standalone.engine_simulator.spelling import BadRequest, Json, Used

_DIMENSIONS = 64


def answer(body: Json, response_id: str, created: int) -> tuple[Json, int]:
    """Return the answer and the tokens of its inputs; raise BadRequest."""
    sizes = sizes_of(body.get("input"), "input")
    dimensions, encoding = body.get("dimensions") or _DIMENSIONS, body.get("encoding_format") or "float"
    if not isinstance(dimensions, int) or not 1 <= dimensions <= 8192:
        raise BadRequest("dimensions: expected a whole number from 1 to 8192")
    if encoding not in {"float", "base64"}:
        raise BadRequest("encoding_format: expected float or base64")
    inputs = body["input"] if isinstance(body["input"], list) and len(sizes) > 1 else [body["input"]]
    data = [
        {"index": index, "object": "embedding", "embedding": _spell(tokens.embedding(str(item), dimensions), encoding)}
        for index, item in enumerate(inputs)
    ]
    used = usage(Used(prompt=sum(sizes), cached=0, output=0, reasoning=0))
    return {"id": f"embd-{response_id}", "object": "list", "created": created, "model": body["model"], "data": data, "usage": used}, sum(sizes)


def _spell(vector: list[float], encoding: str) -> list[float] | str:
    """Base64 is of little-endian float32."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if encoding == "base64" else vector
