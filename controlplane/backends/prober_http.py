"""Probes an engine over HTTP. An engine is a stranger here.

vLLM and others of the OpenAI API have `GET /health` and `GET /v1/models`; a model server of KServe has the same list in its own form, or `GET
/v2/models`, and `GET /v2/health/ready`. Triton has no list but an index of its repository, `POST /v2/repository/index`.
"""

from dataclasses import replace

from controlplane.backends.credentials import CredentialFolder, CredentialUnusable
from controlplane.backends.ports import Probe
from controlplane.backends.rules import HEALTH_PATHS, Verdict, denied, unhealthy
from controlplane.catalog.engine_list import EngineList, read_index, read_list
from controlplane.egress.ports import Answer, CallFailed, Egress, EgressDenied, Outgoing

TIMEOUT_SECONDS = 3.0
MAX_BYTES = 8 << 20
"""Some ten thousand models, as vLLM describes them."""
_ABSENT = frozenset({404, 405, 501})
"""The path is not there: a provider without a health check, a server with another list."""


_LISTS = (("GET", "/v1/models", read_list), ("GET", "/v2/models", read_list), ("POST", "/v2/repository/index", read_index))
_READY_MODELS = b'{"ready": true}'
"""Of the repository: what is loaded."""


class _Problem(Exception):
    """What is wrong with an answer, in words."""


class HttpProber:
    """Asks through the egress port."""

    def __init__(self, egress: Egress, credentials: CredentialFolder, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._egress = egress
        self._credentials = credentials
        self._timeout = timeout_seconds

    async def probe(self, probe: Probe) -> Verdict:
        problem = ""
        listed: EngineList | None = None
        try:
            asked = _Asked(self._egress, probe.base_url, self._credentials.header(probe.credential), self._timeout)
            health = await asked.get(HEALTH_PATHS[probe.kind])
            problem = _problem_of(health, HEALTH_PATHS[probe.kind])
            if probe.discovers or health.status in _ABSENT:
                listed = await asked.models()
                if listed.model_type is not probe.kind:
                    health = await asked.get(HEALTH_PATHS[listed.model_type])
                    problem = _problem_of(health, HEALTH_PATHS[listed.model_type])
        except EgressDenied as denial:
            return denied(str(denial))
        except (_Problem, CredentialUnusable) as found:
            return unhealthy(problem or str(found))
        latency_ms = health.seconds * 1000
        return Verdict(problem, listed.told, listed.model_type, latency_ms) if listed else Verdict(problem, None, latency_ms=latency_ms)


class _Asked:
    """One engine during one probe."""

    def __init__(self, egress: Egress, base_url: str, headers: dict[str, str], timeout_seconds: float) -> None:
        self._egress, self._base_url, self._headers, self._timeout = egress, base_url, headers, timeout_seconds

    async def get(self, path: str) -> Answer:
        """Return an answer of any status. Raises _Problem and EgressDenied."""
        return await self._call("GET", path)

    async def _call(self, method: str, path: str) -> Answer:
        asked = Outgoing(f"{self._base_url}{path}", self._timeout, method, self._headers, max_bytes=MAX_BYTES)
        if method == "POST":
            asked = replace(asked, headers={**self._headers, "content-type": "application/json"}, body=_READY_MODELS)
        try:
            return await self._egress.call(asked)
        except EgressDenied:
            raise
        except CallFailed as problem:
            raise _Problem(f"{method} {path}: {problem}") from problem

    async def models(self) -> EngineList:
        """Return the list of models from the first place that has one. Raises _Problem and EgressDenied."""
        missing = []
        for method, path, read in _LISTS:
            answer = await self._call(method, path)
            if answer.status == 200:
                try:
                    return read(answer.body)
                except ValueError as error:
                    raise _Problem(f"{method} {path}: {error}") from error
            missing.append(f"{method} {path}: status {answer.status}")
            if answer.status not in _ABSENT:
                break
        raise _Problem(missing[0])


def _problem_of(health: Answer, path: str) -> str:
    """A health check that is not there says nothing: then the list of models has to be good."""
    return "" if health.status == 200 or health.status in _ABSENT else f"GET {path}: status {health.status}"
