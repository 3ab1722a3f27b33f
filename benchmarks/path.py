"""What does the whole path cost a request? Envoy alone, Envoy asking services that do nothing, the whole service on `wire`, on `grpcio`.

Four gateways in front of one engine (`engine.py`), measured in turn (A B C D A B C D) by one load process (`http_load.py`). The services
are what `ias up` starts, with limits on the model, so that each request is authorized, admitted in Valkey, followed by extproc (inline)
and counted in the ledger. `floor` is Envoy as we configure it with services that only answer (`no_services.py`): no service can be
nearer to `plain`. CPU is of every process that takes part, by name, for each request. `SIDES=plain,wire` measures only those,
`SMALL=1` only bodies of 1 KiB.
"""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.engine import MODEL
from benchmarks.measuring import Cpu, Worker, family, in_turn, median_of, ratio, result, worker
from controlplane.gateway.bootstrap import BootstrapParams, render_bootstrap
from controlplane.gateway.clusters import GatewayFiles
from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState
from controlplane.gateway.render import CDS_FILE, RDS_FILE, render
from standalone import binaries
from tests.e2e.world import World
from tests.support.stack import running_stack

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = float(os.environ.get("SECONDS", "3"))
CONNECTIONS = 32
SIZES = {"": 1024} | ({} if os.environ.get("SMALL") else {"_100k": 100 * 1024, "_1m": 1024 * 1024})
TRANSPORTS = ("wire", "grpcio")
SIDES = os.environ.get("SIDES", "plain,floor,wire,grpcio").split(",")
LIMITS: dict[str, Any] = {"requestsPerMinute": 1_000_000, "tokensPerHour": 2_000_000_000}

PLAIN = """
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: GATEWAY}}
    per_connection_buffer_limit_bytes: 16777216
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: plain
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: engine}}]}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: engine
    connect_timeout: 1s
    load_assignment:
      cluster_name: engine
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ENGINE}}}}]}]
"""


@dataclass
class Gateway:
    """One way to the engine."""

    port: int
    pids: dict[str, int]
    client: Worker
    model: str = MODEL
    key: str = "none"

    def measure(self, size: int, connections: int, seconds: float = SECONDS) -> dict[str, float]:
        cpu = Cpu(family(self.pids))
        cpu.start()
        did = self.client.ask(port=self.port, model=self.model, key=self.key, size=size, connections=connections, seconds=seconds)
        used = cpu.stop()
        for answer, count in did["failed"].items():
            print(f"{count} requests failed: {answer}", flush=True)
        failed = sum(did["failed"].values())
        figures = {f"cpu {name}": spent / did["requests"] * 1e6 for name, spent in used.items()}
        return {"rps": (did["requests"] - failed) / did["seconds"], "p50_ms": did["p50_ms"], "failed": failed, **figures}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def plain_envoy(folder: Path, engine_port: int) -> Iterator[tuple[int, int]]:
    """Envoy and nothing else; yields port and process id."""
    port = free_port()
    with envoy(folder / "plain", PLAIN.replace("GATEWAY", str(port)).replace("ENGINE", str(engine_port)), port) as pid:
        yield port, pid


@contextlib.contextmanager
def asking_envoy(folder: Path, engine_port: int) -> Iterator[tuple[int, dict[str, int]]]:
    """Our Envoy in front of services that do nothing; yields port and process ids."""
    port, xds = free_port(), folder / "xds"
    xds.mkdir(parents=True)
    state = GatewayState((GatewayBackend("engine", f"http://127.0.0.1:{engine_port}"),), (GatewayRoute.to_one(MODEL, "engine"),))
    for name, content in zip((CDS_FILE, RDS_FILE), render(state, GatewayFiles("", xds / "secrets")), strict=True):
        (xds / name).write_bytes(content.to_json())
    with contextlib.ExitStack() as stack:
        services = {name: stack.enter_context(worker("benchmarks.no_services", name, f"unix:{folder}/{name}")) for name in ("extauth", "extproc")}
        addresses = {name: (service.hello["address"],) for name, service in services.items()}
        bootstrap = render_bootstrap(
            BootstrapParams(xds_directory=xds, gateway_port=port, extauth=addresses["extauth"], extproc=addresses["extproc"])
        )
        pid = stack.enter_context(envoy(folder / "envoy", bootstrap, port))
        yield port, {"envoy": pid, **{name: service.pid for name, service in services.items()}}


@contextlib.contextmanager
def envoy(at: Path, configuration: str, port: int) -> Iterator[int]:
    """Envoy with as many threads as `ias up` gives it; yields its process id when it listens."""
    at.with_suffix(".yaml").write_text(configuration)
    with at.with_suffix(".log").open("wb") as log:
        command = [str(binaries.find("envoy", "_bin/envoy")), "-c", str(at.with_suffix(".yaml")), "--log-level", "warning", "--disable-hot-restart"]
        process = subprocess.Popen(command, stderr=log)
    try:
        end = time.monotonic() + 20
        while not accepts(port):
            assert process.poll() is None, at.with_suffix(".log").read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def gateways(folder: Path) -> Iterator[dict[str, Gateway]]:
    """Start all of `SIDES`, with the engine behind them and the client in front."""
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(worker("benchmarks.engine"))
        client = stack.enter_context(worker("benchmarks.http_load"))
        port, pid = stack.enter_context(plain_envoy(folder, engine.hello["port"]))
        shared = {"engine": engine.pid, "client": client.pid}
        found = {"plain": Gateway(port, {"envoy": pid, **shared}, client)}
        if "floor" in SIDES:
            port, asking = stack.enter_context(asking_envoy(folder / "floor", engine.hello["port"]))
            found["floor"] = Gateway(port, {**asking, **shared}, client, key="ias_test")
        for transport in filter(SIDES.__contains__, TRANSPORTS):
            url = f"bench=http://127.0.0.1:{engine.hello['port']}"
            service = stack.enter_context(running_stack(folder / transport, "--engine", url, environment={"IAS_TRANSPORT": transport}))
            world = World(service.ready, service.ready["admin_password"])
            stack.callback(world.close)
            tenant = world.tenant()
            model = world.publish(tenant, name=MODEL, upstream=MODEL, **LIMITS)  # one name: the body need not change
            port = int(service.ready["gateway_url"].rpartition(":")[2])
            found[transport] = Gateway(port, {**service.pids(), **shared}, client, model, tenant.api_key)
        yield found


def compare(sides: dict[str, Gateway], size: int, connections: int) -> dict[str, list[dict[str, float]]]:
    """Measure one load on all of them and show what came out."""
    for side in sides.values():
        side.measure(size, connections, 1)  # connections, caches
    found = in_turn(ROUNDS, {name: partial(side.measure, size, connections) for name, side in sides.items()})
    print(f"\n{size // 1024:,} KiB, {connections} connections", flush=True)
    for name, rounds in found.items():
        cpu = {key[4:]: median_of(rounds, key) for key in rounds[0] if key.startswith("cpu ")}
        used = "  ".join(f"{process} {spent:.0f}" for process, spent in cpu.items() if spent >= 1)
        failed = sum(one["failed"] for one in rounds)
        used += f"  FAILED {failed:.0f}" if failed else ""
        print(f"  {name:<8}{median_of(rounds, 'rps'):>9,.0f} req/s{median_of(rounds, 'p50_ms'):>9.2f} ms   CPU µs: {used}", flush=True)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ias") as folder, gateways(Path(folder)) as sides:
        loaded = {suffix: compare(sides, size, CONNECTIONS) for suffix, size in SIZES.items()}
        alone = compare(sides, SIZES[""], 1)
    rates = {f"rps_{name}{suffix}": round(median_of(found[name], "rps")) for suffix, found in loaded.items() for name in sides}
    cpu = {name: {key[4:]: round(median_of(rounds, key), 1) for key in rounds[0] if key.startswith("cpu ")} for name, rounds in loaded[""].items()}
    small = loaded[""]
    p50 = {name: median_of(alone[name], "p50_ms") for name in sides}
    print()
    for name in list(sides)[1:]:
        added = (p50[name] - p50["plain"]) / p50["plain"]
        print(f"{name:<8}{ratio(small[name], small['plain'], 'rps'):.3f} x plain's requests/s; adds {added:.2f} x plain's p50 at one connection")
    if {"wire", "grpcio"} <= sides.keys():
        print(f"wire is {ratio(small['wire'], small['grpcio'], 'rps'):.2f} x grpcio")
    result(**rates, **{f"p50_{name}_ms": round(ms, 3) for name, ms in p50.items()}, cpu_us=cpu)


if __name__ == "__main__":
    main()
