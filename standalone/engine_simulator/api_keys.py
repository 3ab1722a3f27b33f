"""Keys of the engine's own, as vLLM has them with `--api-key`: asked for below `/v1`, and nowhere else."""

import hmac
from collections.abc import Collection

from standalone.engine_simulator.http import Answer, Exchange


def demanding(keys: Collection[str], answer: Answer) -> Answer:
    """Return what answers 401 to requests without one of the keys; without keys, `answer` itself."""
    expected = [f"Bearer {key}".encode() for key in keys]

    async def checked(exchange: Exchange) -> None:
        shown = exchange.headers.get("authorization", "").encode()
        if exchange.path.startswith("/v1") and not any(hmac.compare_digest(shown, one) for one in expected):
            await exchange.reply(401, "application/json", b'{"error": "Unauthorized"}')
        else:
            await answer(exchange)

    return checked if keys else answer
