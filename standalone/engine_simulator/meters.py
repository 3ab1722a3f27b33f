"""What the engine says it did, the truth that metering is checked against: vLLM's counters, and a journal with a line for each request."""

from pathlib import Path
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

End = Literal["stop", "length", "abort", "error"]


class Entry(msgspec.Struct, frozen=True):
    """One line of the journal."""

    request_id: str
    """The gateway's `x-request-id`, by which the ledger knows the request."""
    model: str
    path: str
    prompt: int
    generated: int
    """Tokens of all choices."""
    end: End


class Meters:
    """Counts as it happens, so that an aborted request is counted as exactly as a complete one. The journal is written when a request ends."""

    def __init__(self, journal: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        labels = ["model_name", "engine"]
        self.prompt = Counter("vllm:prompt_tokens", "Number of prefill tokens processed.", labels, registry=self.registry)
        self.generation = Counter("vllm:generation_tokens", "Number of generation tokens processed.", labels, registry=self.registry)
        self.running = Gauge("vllm:num_requests_running", "Number of requests in model execution batches.", labels, registry=self.registry)
        self.ended = Counter(
            "vllm:request_success", "Count of successfully processed requests.", [*labels, "finished_reason"], registry=self.registry
        )
        self.overrun = Counter(
            "simulator:tokens_after_disconnect", "Generation tokens made after the client had gone.", labels, registry=self.registry
        )
        self._journal = journal.open("ab", buffering=0) if journal else None

    def show(self, model: str) -> None:
        """As in vLLM, the counters of a model exist before its first request."""
        for meter in (self.prompt, self.generation, self.running, self.overrun):
            meter.labels(model, "0")
        for reason in ("stop", "length", "abort"):
            self.ended.labels(model, "0", reason)

    def begin(self, request_id: str, model: str, path: str, prompt_tokens: int) -> "Run":
        """A request runs from now on."""
        return Run(self, request_id, model, path, prompt_tokens)

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def write(self, entry: Entry) -> None:
        """Add a line to the journal."""
        if self._journal is not None and not self._journal.closed:
            self._journal.write(msgspec.json.encode(entry) + b"\n")


class Run:
    """One request in the engine."""

    def __init__(self, meters: Meters, request_id: str, model: str, path: str, prompt_tokens: int) -> None:
        self._meters = meters
        self._names = (request_id, model, path)
        self._prompt_tokens = prompt_tokens
        self._total = 0
        self._generation = meters.generation.labels(model, "0")
        self._running = meters.running.labels(model, "0")
        meters.prompt.labels(model, "0").inc(prompt_tokens)
        self._running.inc()

    def generated(self, count: int) -> None:
        """So many tokens more."""
        self._total += count
        self._generation.inc(count)

    def overrun(self, count: int) -> None:
        """So many tokens more, for a client that has gone."""
        self.generated(count)
        self._meters.overrun.labels(self._names[1], "0").inc(count)

    def end(self, end: End) -> None:
        """The request is over."""
        request_id, model, path = self._names
        self._running.dec()
        if end != "error":
            self._meters.ended.labels(model, "0", end).inc()
        self._meters.write(Entry(request_id, model, path, self._prompt_tokens, self._total, end))


def read_journal(path: Path) -> list[Entry]:
    """Return the requests that have ended."""
    return [msgspec.json.decode(line, type=Entry) for line in path.read_bytes().splitlines()] if path.exists() else []
