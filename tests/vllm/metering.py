"""`make test-vllm`: the ledger beside the counters of a real vLLM, inline and in shadow.

Complete requests, streamed or not: the ledger's tokens are the engine's, exactly. Streams that their client left: the engine may have
made up to three tokens more each than were counted, and never less. Of answers that were not streamed and that their client did not wait for
nothing passes that could be counted: what they used is estimated from the time that they took, at most what was held, and is shown beside the
engine's counters.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from controlplane.gateway.bootstrap import Metering
from tests.chaos import accounting, load
from tests.chaos.accounting import Books
from tests.chaos.load import Wish
from tests.e2e.world import Tenant, World, until
from tests.support.stack import running_stack
from tests.vllm.server import MODEL, Counters, Vllm, running_vllm

ENDPOINTS = ("/v1/chat/completions", "/v1/completions")
EACH = 12
LENGTHS = (1, 7, 40)
APART = 3


@dataclass(frozen=True)
class Result:
    """One class of requests, ledger beside engine."""

    profile: str
    what: str
    requests: int
    ledger: tuple[int, int]
    engine: Counters
    at_most: int | None
    """Output tokens that the engine may have more; None: they are estimated."""
    sources: tuple[str, ...]

    @property
    def apart(self) -> int:
        return self.engine.generated - self.ledger[1]

    @property
    def right(self) -> bool:
        if self.at_most is None:
            return self.ledger[0] > 0 and self.ledger[1] > 0
        return 0 < self.ledger[0] == self.engine.prompt and 0 <= self.apart <= self.at_most

    def row(self) -> str:
        numbers = (self.requests, self.ledger[0], self.engine.prompt, self.ledger[1], self.engine.generated, self.apart)
        columns = "".join(f"{number:>11}" for number in numbers)
        return f"{self.profile:<8}{self.what:<34}{columns}  {', '.join(self.sources):<12}{'' if self.right else '  WRONG'}"


class Bench:
    """One service in front of one engine."""

    def __init__(self, profile: str, world: World, tenant: Tenant, model: str, engine: Vllm) -> None:
        self._profile, self._world, self._tenant, self._model, self._engine = profile, world, tenant, model, engine

    def compare(self, what: str, wishes: Sequence[Wish], at_once: int, at_most: int | None = 0) -> Result:
        """Make requests, and compare what they added to the ledger with what they added to the engine's counters."""
        known, before = {row.event_id for row in self._books().rows}, self._engine.idle()
        asyncio.run(load.in_turns(self._world.gateway, wishes, at_once))
        engine = self._engine.idle() - before

        def recorded() -> list[accounting.Row]:
            rows = [row for row in self._books().rows if row.event_id not in known]
            return rows if len(rows) >= len(wishes) else []

        rows = until(recorded, 60, every_s=0.2)
        ledger = sum(row.input for row in rows), sum(row.output for row in rows)
        return Result(self._profile, what, len(rows), ledger, engine, at_most, tuple(sorted({row.source for row in rows})))

    def _books(self) -> Books:
        return accounting.read_books(str(self._world.ready["database_url"]), [self._tenant.org_id])

    def complete(self, path: str, streamed: bool) -> Result:
        wishes = [self._wish(path, {"stream": streamed, "max_tokens": LENGTHS[number % len(LENGTHS)]}) for number in range(EACH)]
        return self.compare(f"{path.removeprefix('/v1/')}, {'streamed' if streamed else 'whole'}", wishes, at_once=4)

    def asked_for_usage(self, path: str) -> Result:
        body = {"max_tokens": 20, "stream_options": {"include_usage": True}}
        return self.compare(f"{path.removeprefix('/v1/')}, asks for usage", [self._wish(path, body)] * EACH, at_once=4)

    def left(self, path: str) -> list[Result]:
        """One stream after the other, so that each is compared."""
        wishes = [self._wish(path, {"max_tokens": 500}, leave_after=2 + 3 * number) for number in range(EACH)]
        return [self.compare(f"{path.removeprefix('/v1/')}, left after {wish.leave_after}", [wish], 1, APART) for wish in wishes]

    def not_waited_for(self, path: str) -> Result:
        body = {"stream": False, "max_tokens": 500}
        wishes = [self._wish(path, body, patience_s=0.3 + 0.1 * number) for number in range(EACH // 2)]
        return self.compare(f"{path.removeprefix('/v1/')}, whole, not waited for", wishes, 1, at_most=None)

    def _wish(self, path: str, body: dict[str, object], leave_after: int | None = None, patience_s: float = load.PATIENCE_S) -> Wish:
        options = {**body, "ignore_eos": True}
        return Wish(self._model, self._tenant.api_key, leave_after=leave_after, body=options, path=path, patience_s=patience_s)


def profile(name: Metering, environment: Path, folder: Path, size: str) -> list[Result]:
    """Run everything in one profile."""
    forced = ("--enable-force-include-usage",) if name == "shadow" else ()
    with ExitStack() as stop:
        engine = stop.enter_context(running_vllm(environment, folder, size, *forced))
        stack = stop.enter_context(running_stack(folder / name, "--engine", f"vllm={engine.url}", "--metering", name))
        world = World(stack.ready, stack.ready["admin_password"])
        stop.callback(world.close)
        tenant = world.tenant()
        config = {"continuousUsage": name == "inline", "rateLimiting": {"admissionMode": "lenient" if name == "shadow" else "balanced"}}
        # A shadow cannot write the engine's name of the model into a request.
        model = world.publish(tenant, name=MODEL if name == "shadow" else None, upstream=MODEL, config=config)
        bench = Bench(name, world, tenant, model, engine)
        results = [bench.complete(path, streamed) for path in ENDPOINTS for streamed in (True, False)]
        results += [bench.asked_for_usage(path) for path in ENDPOINTS]
        results += [bench.not_waited_for(path) for path in ENDPOINTS]
        return results + [one for path in ENDPOINTS for one in bench.left(path)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.vllm.metering", description=__doc__)
    parser.add_argument("environment", type=Path, help="an environment that has vLLM (tools/vllm_cpu.sh makes it)")
    parser.add_argument("--profile", choices=("inline", "shadow"), action="append")
    parser.add_argument("--model", choices=("small", "tiny"), default="small", help="its size")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="ias-vllm-") as folder:
        for name in arguments.profile or ("inline", "shadow"):
            print(f"{name}: starting vLLM and the service", flush=True)
            results += profile(name, arguments.environment.absolute(), Path(folder), arguments.model)
    names = ("requests", "ledger in", "vLLM in", "ledger out", "vLLM out", "apart")
    print(f"\n{'profile':<8}{'requests':<34}" + "".join(f"{name:>11}" for name in names) + "  usage")
    print("\n".join(result.row() for result in results))
    wrong = [result for result in results if not result.right]
    print(f"{len(wrong)} of {len(results)} comparisons are wrong" if wrong else "the ledger is what vLLM counted")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
