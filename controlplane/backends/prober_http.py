"""Probes an engine over HTTP. An engine is a stranger here.

vLLM and others of the OpenAI API have `GET /health` and `GET /v1/models`; a model server of KServe has the same list in its own form, or `GET
/v2/models`, and `GET /v2/health/ready`.
"""

import asyncio

from controlplane.backends.rules import HEALTH_PATHS, Verdict, denied, judge
from controlplane.catalog.engine_list import EngineList, read_list
from controlplane.egress.ports import CallFailed, Egress, EgressDenied, Outgoing
from ias.gateway_views import ModelType

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
            (_, health_problem), (listed, models_problem) = await asyncio.gather(
                self._get(base_url, HEALTH_PATHS[ModelType.OPENAI]), self._list(base_url)
            )
            if listed is not None and listed.model_type is ModelType.TRADITIONAL:
                _, health_problem = await self._get(base_url, HEALTH_PATHS[ModelType.TRADITIONAL])
        except EgressDenied as denial:
            return denied(str(denial))
        return judge(health_problem, None, models_problem) if listed is None else judge(health_problem, listed.told, None, listed.model_type)

    async def _list(self, base_url: str) -> tuple[EngineList | None, str | None]:
        """Return the list of models and None, or None and the problem of the first place where it could be. Raises EgressDenied."""
        problem = None
        for path in ("/v1/models", "/v2/models"):
            body, trouble = await self._get(base_url, path)
            if trouble is None:
                try:
                    return read_list(body), None
                except ValueError as error:
                    trouble = f"GET {path}: {error}"
            problem = problem or trouble
            if "status 404" not in trouble:
                break
        return None, problem

    async def _get(self, base_url: str, path: str) -> tuple[bytes, str | None]:
        """Return (body, None), or (nothing, the problem in words). Raises EgressDenied."""
        try:
            answer = await self._egress.call(Outgoing(f"{base_url}{path}", self._timeout, max_bytes=MAX_BYTES))
        except EgressDenied:
            raise
        except CallFailed as problem:
            return b"", f"GET {path}: {problem}"
        return (answer.body, None) if answer.status == 200 else (b"", f"GET {path}: status {answer.status}")
