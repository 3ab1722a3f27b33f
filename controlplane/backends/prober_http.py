"""Probes an engine over HTTP: `GET /health` and `GET /v1/models`, as vLLM and the OpenAI API have them. An engine is a stranger here."""

import asyncio

from controlplane.backends.rules import Verdict, denied, judge
from controlplane.catalog.engine_list import read_list
from controlplane.egress.ports import CallFailed, Egress, EgressDenied, Outgoing

TIMEOUT_SECONDS = 3.0
MAX_BYTES = 8 << 20
"""Some ten thousand models, as vLLM describes them."""


class HttpProber:
    """Asks through the egress port."""

    def __init__(self, egress: Egress, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._egress = egress
        self._timeout = timeout_seconds

    async def probe(self, base_url: str) -> Verdict:
        try:
            (_, health_problem), (body, models_problem) = await asyncio.gather(self._get(base_url, "/health"), self._get(base_url, "/v1/models"))
        except EgressDenied as denial:
            return denied(str(denial))
        if models_problem:
            return judge(health_problem, None, models_problem)
        try:
            return judge(health_problem, read_list(body), None)
        except ValueError as error:
            return judge(health_problem, None, f"GET /v1/models: {error}")

    async def _get(self, base_url: str, path: str) -> tuple[bytes, str | None]:
        """Return (body, None), or (nothing, the problem in words). Raises EgressDenied."""
        try:
            answer = await self._egress.call(Outgoing(f"{base_url}{path}", self._timeout, max_bytes=MAX_BYTES))
        except EgressDenied:
            raise
        except CallFailed as problem:
            return b"", f"GET {path}: {problem}"
        return (answer.body, None) if answer.status == 200 else (b"", f"GET {path}: status {answer.status}")
