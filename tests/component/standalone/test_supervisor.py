"""The supervisor with small programs in place of the real ones."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from standalone.process import Program
from standalone.supervisor import Service, StartFailed, Step, Supervisor

SLEEP = "import time; open(READY, 'w').close(); time.sleep(600)"


class Bench:
    """Makes services whose readiness is a file that the program writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.order: list[str] = []

    def service(self, name: str, code: str = SLEEP, after: tuple[str, ...] = ()) -> Service:
        ready = self.folder / f"{name}.ready"
        program = Program(name, (sys.executable, "-c", code.replace("READY", repr(str(ready)))), self.folder / f"{name}.log", stop_s=1)

        async def is_ready() -> bool:
            return ready.exists()

        async def prepare() -> None:
            ready.unlink(missing_ok=True)
            self.order.append(f"start {name}")

        async def drain() -> None:
            self.order.append(f"stop {name}")

        return Service(name, program, is_ready, after, prepare=prepare, drain=drain)

    def supervisor(self, *parts: Service | Step) -> Supervisor:
        return Supervisor(parts, self.said.append, lambda: None)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def until(probe: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not probe():  # noqa: ASYNC110  # another process has no event to wait for
            await asyncio.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_each_waits_for_what_it_needs_and_the_stop_is_the_reverse(bench: Bench) -> None:
    async def action() -> None:
        bench.order.append("step")

    supervisor = bench.supervisor(bench.service("a"), Step("step", "step", action, after=("a",)), bench.service("b", after=("step",)))
    await supervisor.start()
    pids = supervisor.pids
    assert bench.order == ["start a", "step", "start b"]
    await supervisor.stop()
    assert bench.order[3:] == ["stop b", "stop a"]
    assert not any(runs(pid) for pid in pids.values())
    assert supervisor.pids == {}


async def test_a_process_that_dies_is_started_again_and_it_says_so(bench: Bench) -> None:
    supervisor = bench.supervisor(bench.service("a"))
    await supervisor.start()
    first = supervisor.pids["a"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pids.get("a", first) != first)
    assert any("a was killed by SIGKILL; starting it again in 0.1 s" in line for line in bench.said)
    await supervisor.stop()


async def test_one_that_keeps_dying_is_given_more_and_more_time(bench: Bench) -> None:
    supervisor = bench.supervisor(bench.service("a", "open(READY, 'w').close()"))
    await supervisor.start()
    await until(lambda: sum("starting it again" in line for line in bench.said) >= 3)
    waits = [line.split(" in ")[1].split(" s")[0] for line in bench.said if "starting it again" in line]
    assert waits[:3] == ["0.1", "0.2", "0.4"]
    await supervisor.stop()


async def test_one_that_ends_before_it_is_ready_fails_the_start_and_names_its_log(bench: Bench) -> None:
    supervisor = bench.supervisor(
        bench.service("a"), bench.service("b", "raise SystemExit('no licence')", after=("a",)), bench.service("c", after=("b",))
    )
    with pytest.raises(ExceptionGroup) as failed:
        await supervisor.start()
    failure = failed.value.exceptions[0]
    assert isinstance(failure, StartFailed)
    assert str(failure) == "b ended while it was starting (ended with code 1)."
    assert failure.log
    assert "no licence" in failure.log.read_text()
    assert "start c" not in bench.order
    started = supervisor.pids["a"]
    await supervisor.stop()
    assert not runs(started)


async def test_one_that_does_not_stop_is_killed(bench: Bench) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
    supervisor = bench.supervisor(bench.service("a", deaf))
    await supervisor.start()
    pid = supervisor.pids["a"]
    await supervisor.stop()
    assert not runs(pid)
    assert bench.said[-1] == "a did not stop in 1 s and is killed"


async def test_a_stop_in_the_middle_of_a_start_leaves_nothing(bench: Bench) -> None:
    supervisor = bench.supervisor(bench.service("a"), bench.service("b", "import time; time.sleep(600)", after=("a",)))
    start = asyncio.create_task(supervisor.start())
    await until(lambda: "b" in supervisor.pids)
    pids = supervisor.pids
    start.cancel()
    await asyncio.gather(start, return_exceptions=True)
    await supervisor.stop()
    assert not any(runs(pid) for pid in pids.values())


async def test_children_see_no_secret_of_ours_and_no_terminal_signal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "5ec4e7")
    supervisor = bench.supervisor(bench.service("a"))
    await supervisor.start()
    pid = supervisor.pids["a"]
    assert b"5ec4e7" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert os.getpgid(pid) != os.getpgid(0)
    await supervisor.stop()
