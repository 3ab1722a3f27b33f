"""Counters of an engine by `GET /metrics`, as vLLM names them: `vllm:prompt_tokens_total` and `vllm:generation_tokens_total`.

An engine is a stranger here: no redirects, no proxies from the environment, a bound on time and on bytes.
"""

import asyncio
from collections import Counter

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from controlplane.reconciliation.ports import CountersUnavailable
from controlplane.reconciliation.rules import Tokens
from controlplane.usage.rules import MAX_COUNT

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 8 << 20
_INPUT, _OUTPUT = "vllm:prompt_tokens_total", "vllm:generation_tokens_total"


class HttpCountersReader:
    """One client for all engines; close it at the end."""

    def __init__(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds
        self._client = httpx2.AsyncClient(timeout=timeout_seconds, follow_redirects=False, trust_env=False, headers={"user-agent": "ias-reconcile"})

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def read(self, base_url: str) -> dict[str, Tokens]:
        try:
            async with asyncio.timeout(self._timeout):
                return parse(await self._get(f"{base_url}/metrics"))
        except TimeoutError as error:
            raise CountersUnavailable(f"no answer within {self._timeout:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise CountersUnavailable(f"{type(error).__name__}: {error}") from error

    async def _get(self, url: str) -> str:
        async with self._client.stream("GET", url) as response:
            if response.status_code != 200:
                raise CountersUnavailable(f"GET /metrics: status {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise CountersUnavailable(f"GET /metrics: an answer of more than {MAX_BYTES} bytes")
            return body.decode()


def parse(text: str) -> dict[str, Tokens]:
    """Sum up each model's counters over the engine's processes; raise ValueError for what is no Prometheus text."""
    totals: dict[str, Counter[str]] = {_INPUT: Counter(), _OUTPUT: Counter()}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in totals and "model_name" in sample.labels:
                if not 0 <= sample.value <= MAX_COUNT:
                    raise ValueError(f"{sample.name} is {sample.value}")
                totals[sample.name][sample.labels["model_name"]] += int(sample.value)
    return {model: Tokens(totals[_INPUT][model], totals[_OUTPUT][model]) for model in totals[_INPUT] | totals[_OUTPUT]}
