"""What does a gRPC call cost on each transport? CPU of the server's process for each call, `wire` against `grpcio`.

Both servers run from the beginning to the end, each with a client process of its own; the same load goes to one and then to the
other (A B A B). The client is the same for both and costs next to nothing (`h2_client.py`). Calls carry 1 KiB, as `Check` does for a
short prompt; messages of streams 256 bytes, as ext_proc does for a chunk, each sent when the reply to the one before it has come.
`stream_cpu_ratio_32` is the lowest of the three lengths of streams.
"""

import contextlib
import tempfile
from dataclasses import asdict, dataclass
from functools import partial

from benchmarks.measuring import Worker, cpu_s, in_turn, median_of, ratio, result, worker

ROUNDS, SECONDS = 5, 1.5
TRANSPORTS = ("grpcio", "wire")


@dataclass(frozen=True)
class Load:
    in_flight: int
    unary: bool = True
    messages: int = 1
    traced: bool = False

    @property
    def size(self) -> int:
        return 1024 if self.unary else 256

    def __str__(self) -> str:
        kind = "unary" if self.unary else f"stream of {self.messages:,}"
        return f"{kind}, {self.in_flight} in flight{', traced' if self.traced else ''}"


UNARY = {Load(in_flight, traced=traced) for in_flight in (1, 32, 128) for traced in (False, True)}
STREAMS = [Load(in_flight, False, messages) for messages in (1, 100, 1000) for in_flight in (1, 32)]


@dataclass
class Side:
    server: Worker
    client: Worker

    def measure(self, load: Load, seconds: float = SECONDS) -> dict[str, float]:
        before = cpu_s(self.server.pid)
        did = self.client.ask(seconds=seconds, size=load.size, **asdict(load))
        assert not did["errors"], did["errors"]
        return {
            "cpu_us": (cpu_s(self.server.pid) - before) / did["calls"] * 1e6,
            "rate": did["calls"] / did["seconds"],
            "p50_us": did["p50_us"],
        }


def compare(sides: dict[str, Side], load: Load) -> dict[str, float]:
    """Measure one load on both transports and say what came out."""
    for side in sides.values():
        side.measure(load, 0.5)  # caches, windows and branch predictors
    found = in_turn(ROUNDS, {name: partial(side.measure, load) for name, side in sides.items()})
    cpu = ratio(found["grpcio"], found["wire"], "cpu_us")
    columns = "".join(f"{median_of(found[name], key):>12,.0f}" for key in ("cpu_us", "rate", "p50_us") for name in TRANSPORTS)
    print(f"{load!s:<36}{columns}{cpu:>11.2f}", flush=True)
    return {"cpu": cpu, "p50": ratio(found["grpcio"], found["wire"], "p50_us")}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ias") as folder, contextlib.ExitStack() as stack:
        sides = {}
        for transport in TRANSPORTS:
            server = stack.enter_context(worker("benchmarks.echo_server", transport, f"unix:{folder}/{transport}"))
            sides[transport] = Side(server, stack.enter_context(worker("benchmarks.h2_load", server.hello["address"])))
        groups = "".join(f"{what:>24}" for what in ("CPU µs for a call", "calls a second", "p50 µs"))
        names = "".join(f"{name:>12}" for name in TRANSPORTS)
        print(f"{'':<36}{groups}{'CPU ratio':>11}\n{'':<36}{names * 3}", flush=True)
        unary = {load: compare(sides, load) for load in sorted(UNARY, key=lambda load: (load.traced, load.in_flight))}
        streams = {load: compare(sides, load) for load in STREAMS}
    result(
        unary_cpu_ratio_1=round(unary[Load(1)]["cpu"], 2),
        unary_cpu_ratio_32=round(unary[Load(32)]["cpu"], 2),
        unary_cpu_ratio_128=round(unary[Load(128)]["cpu"], 2),
        unary_cpu_ratio_32_traced=round(unary[Load(32, traced=True)]["cpu"], 2),
        stream_cpu_ratio_32=round(min(found["cpu"] for load, found in streams.items() if load.in_flight == 32), 2),
        p50_ratio_1=round(unary[Load(1)]["p50"], 2),
    )


if __name__ == "__main__":
    main()
