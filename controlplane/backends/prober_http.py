"""Probes an engine over HTTP: `GET /health` and `GET /v1/models`, as vLLM and the OpenAI API have them.

An engine is a stranger here: no redirects, no proxies from the environment, a bound on time and on bytes.
"""

import asyncio

import httpx2

from controlplane.backends.rules import Verdict, judge, read_models

TIMEOUT_SECONDS = 3.0
MAX_BYTES = 1 << 20


class _Refused(Exception):
    """The engine's answer is none that can be used; the message says why."""


class HttpProber:
    """One client for all engines; close it at the end."""

    def __init__(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds
        self._client = httpx2.AsyncClient(
            timeout=timeout_seconds, follow_redirects=False, trust_env=False, headers={"user-agent": "ias-probe", "accept-encoding": "identity"}
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def probe(self, base_url: str) -> Verdict:
        (_, health_problem), (body, models_problem) = await asyncio.gather(self._get(f"{base_url}/health"), self._get(f"{base_url}/v1/models"))
        if models_problem:
            return judge(health_problem, None, models_problem)
        try:
            return judge(health_problem, read_models(body), None)
        except ValueError as error:
            return judge(health_problem, None, f"GET /v1/models: {error}")

    async def _get(self, url: str) -> tuple[bytes, str | None]:
        """Return (body, None), or (nothing, the problem in words)."""
        path = httpx2.URL(url).path
        try:
            async with asyncio.timeout(self._timeout):
                return await self._read(url), None
        except TimeoutError:
            return b"", f"GET {path}: no answer within {self._timeout:g} s"
        except _Refused as problem:
            return b"", f"GET {path}: {problem}"
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            return b"", f"GET {path}: {str(error) or type(error).__name__}"

    async def _read(self, url: str) -> bytes:
        async with self._client.stream("GET", url) as response:
            if response.status_code != 200:
                raise _Refused(f"status {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise _Refused(f"an answer of more than {MAX_BYTES} bytes")
            return bytes(body)
