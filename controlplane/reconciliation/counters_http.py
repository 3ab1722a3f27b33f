"""Counters of an engine by `GET /metrics`, as vLLM names them: `vllm:prompt_tokens_total` and `vllm:generation_tokens_total`."""

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from controlplane.egress.ports import CallFailed, Egress, Outgoing
from controlplane.reconciliation.ports import CountersUnavailable
from controlplane.reconciliation.rules import Tokens
from controlplane.usage.rules import MAX_COUNT

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 8 << 20
_INPUT, _OUTPUT = "vllm:prompt_tokens_total", "vllm:generation_tokens_total"


class HttpCountersReader:
    """Asks through the egress port."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def read(self, base_url: str) -> dict[str, Tokens]:
        try:
            answer = await self._egress.call(Outgoing(f"{base_url}/metrics", TIMEOUT_SECONDS, max_bytes=MAX_BYTES))
        except CallFailed as error:
            raise CountersUnavailable(f"GET /metrics: {error}") from error
        if answer.status != 200:
            raise CountersUnavailable(f"GET /metrics: status {answer.status}")
        try:
            return parse(answer.body.decode())
        except ValueError as error:
            raise CountersUnavailable(f"GET /metrics: {error}") from error


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
