"""`make chaos`: every token counted once, whatever happens.

Streams run through real Envoy while clients leave, engines reset, and extproc, the usage worker, Kafka, PostgreSQL and Valkey are
killed or restarted. Afterwards admitted = events = ledger rows without duplicates, and the ledger's tokens are the engine's.
"""

import argparse
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ias.usage_event import TOPIC
from tests.chaos import accounting, faults, ground, load
from tests.chaos.accounting import Admissions, Books
from tests.chaos.faults import Fault
from tests.chaos.ground import Ground
from tests.chaos.load import Outcome, Wish
from tests.e2e.world import Tenant

ORGS = 4
TOKENS, PACE_MS = 30, 50
APART = 3
"""Tokens that an engine may have made for a client that had left, beyond what was counted."""


def wishes(models: Sequence[tuple[Tenant, str]], count: int, rng: random.Random) -> list[Wish]:
    """Half complete, a quarter is left by its client, an eighth is reset by the engine, an eighth is not streamed."""
    made = []
    for number in range(count):
        tenant, model = rng.choice(models)
        kind = ("complete", "complete", "complete", "complete", "left", "left", "reset", "whole")[number % 8]
        options = [f"tokens={rng.randint(5, TOKENS)}", f"pace_ms={PACE_MS}"]
        if kind == "reset":
            options.append(f"reset_after={rng.randint(1, 20)}")
        made.append(
            Wish(
                model=model,
                api_key=tenant.api_key,
                kind=kind,
                simulate=",".join(options),
                leave_after=rng.randint(0, 12) if kind == "left" else None,
                body={"stream": False} if kind == "whole" else {"stream_options": {"include_usage": True}} if number % 3 else {},
            )
        )
    return made


def everything(service: Ground) -> list[Fault]:
    """Every fault, those of the processes that count more than once."""
    stack = service.stack
    kafka = [Fault("kill -9 kafka", lambda: _bounce(service))] if service.kafka else []
    return [
        faults.kill(stack, "worker"),
        faults.kill(stack, "extproc"),
        *kafka,
        faults.kill(stack, "postgres", signal.SIGINT),
        faults.kill(stack, "worker"),
        faults.kill(stack, "valkey", signal.SIGTERM),
        faults.kill(stack, "extproc"),
        faults.kill(stack, "worker"),
        *kafka,
        faults.kill(stack, "postgres"),
        faults.kill(stack, "worker"),
    ]


def _bounce(service: Ground) -> None:
    assert service.kafka is not None
    service.kafka.kill()
    time.sleep(2)
    service.kafka.start(wait=False)  # slow; meanwhile other things happen


def verdict(books: Books, admitted: int, events: Counter[str] | None, outcomes: list[Outcome], found: accounting.Comparison) -> list[str]:
    """Return what is wrong."""
    wrong = accounting.unbalanced(books, admitted, events)
    seen_complete = sum(outcome.ended and outcome.status == 200 for outcome in outcomes)
    recorded = sum(row.outcome == "complete" and row.status == 200 for row in books.rows)
    if recorded < seen_complete:
        wrong.append(f"clients saw {seen_complete} complete answers, the ledger has {recorded}")
    for (outcome, source, end), one in found.items():
        if (
            outcome == "complete"
            and end in {"stop", "length"}
            and (set(one.apart) != {0} or one.ledger_input != one.engine_input or source != "reported")
        ):
            wrong.append(f"complete requests differ from the engine: {dict(one.apart)}, usage {source}")
        elif outcome in {"client_abort", "upstream_error"} and source == "reported" and not (one.lowest >= 0 and one.highest <= APART):
            wrong.append(f"{outcome}: the engine has {one.lowest} to {one.highest} tokens more than the ledger for a stream")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.metering", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--streams", type=int, default=2_400)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="only faults whose name has this in it")
    parser.add_argument("--logs", type=Path, help="copy the logs of all processes there")
    parser.add_argument("--no-kafka", action="store_true", help="the worker reads the spool")
    arguments = parser.parse_args()
    with ground.running(with_kafka=not arguments.no_kafka) as service:
        tenants = [service.world.tenant() for _ in range(ORGS)]
        models = [(tenant, service.publish(tenant, continuousUsage=True)) for tenant in tenants]
        admissions = Admissions(service.world.ready["metrics_urls"]["extauth"])
        print(f"{arguments.streams} requests in {arguments.seconds:g} s, {'with' if service.kafka else 'without'} Kafka", flush=True)
        wanted = wishes(models, arguments.streams, random.Random(arguments.seed))
        chosen = [fault for fault in everything(service) if arguments.only in fault.name]
        with load.beside(load.run(service.gateway, wanted, arguments.seconds)) as outcomes:
            faults.strike_all(chosen, arguments.seconds)
        admitted = admissions.count
        books = service.settled(tenants, admitted)
        events = None
        if service.kafka:
            events = accounting.count_kafka_events(service.kafka.bootstrap, TOPIC, [tenant.org_id for tenant in tenants])
        if arguments.logs:
            service.keep_logs(arguments.logs)
        found = accounting.compare(books.rows, service.engine.entries())
    statuses = Counter((outcome.kind, outcome.status, outcome.ended) for outcome in outcomes)
    print(
        "\nfor the clients: "
        + ", ".join(f"{kind} {status or 'no answer'}{'' if ended else ' cut'}: {n}" for (kind, status, ended), n in sorted(statuses.items()))
    )
    accounting.print_comparison(found)
    told = f"events {len(events)} ({sum(events.values())} messages), " if events is not None else ""
    print(f"\nadmitted {admitted}, {told}ledger rows {len(books.rows)}, duplicates {books.duplicates}")
    recorded = {row.request_id for row in books.rows}
    missing = Counter(
        (outcome.kind, outcome.status, outcome.code) for outcome in outcomes if outcome.request_id and outcome.request_id not in recorded
    )
    if missing:
        print(f"answers without a row: {dict(missing)}")
    wrong = verdict(books, admitted, events, outcomes, found)
    print("\n".join(f"WRONG: {line}" for line in wrong) or "every admitted request is one row, every token is counted once")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
