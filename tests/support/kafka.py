"""One real Kafka broker for each test worker that needs one: KRaft, one process, small heap, on a loopback port.

Its jars come from Maven Central once, into the cache folder of the user. Tests do not share topics: each takes a prefix of its own.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from standalone.ports import reserve
from standalone.process import Program, launch, run

VERSION = "4.1.0"
_START_S = 60
_HEAP = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_POM = """<project><modelVersion>4.0.0</modelVersion><groupId>tests</groupId><artifactId>broker</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency></dependencies></project>
"""
_SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={home}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.segment.delete.delay.ms=100
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=2000
"""


class KafkaBroker:
    """A broker that can be killed and started again on its data."""

    def __init__(self, home: Path, jars: Path) -> None:
        self._home = home
        self._jars = jars
        self._ports = reserve("127.0.0.1"), reserve("127.0.0.1")
        self.port, controller = (port.number for port in self._ports)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._settings = home / "server.properties"
        self._settings.write_text(_SETTINGS.format(home=home, port=self.port, controller=controller))
        run(self._program("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", str(self._settings)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start, and return when it answers unless told not to wait. On the main thread: the broker dies with the thread that has started it."""
        self._process = launch(self._program("kafka.Kafka", str(self._settings)))
        if wait:
            self._wait(self._process)

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _START_S
        while not self._listens():
            assert process.poll() is None, f"Kafka ended\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"Kafka did not start\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)

    def kill(self) -> None:
        """`kill -9`; nothing is done when it does not run."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(20)
            self._process = None

    def close(self) -> None:
        """Kill it for good."""
        self.kill()
        for port in self._ports:
            port.holder.close()

    @property
    def log(self) -> Path:
        return self._home / "log"

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _program(self, main: str, *arguments: str) -> Program:
        logging = self._home / "log4j2.yaml"
        logging.write_text("Configuration: {Appenders: {Console: {name: out}}, Loggers: {Root: {level: warn, AppenderRef: [{ref: out}]}}}")
        options = (*_HEAP, f"-Dlog4j2.configurationFile={logging}", f"-Dkafka.logs.dir={self._home}")
        return Program("kafka", ("java", *options, "-cp", f"{self._jars}/*", main, *arguments), self.log)


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[KafkaBroker]:
    """The broker of this worker. Who kills it starts it again."""
    archives = jars()
    home = Path(tempfile.mkdtemp(prefix="ias-kafka-"))
    broker = KafkaBroker(home, archives)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()
        shutil.rmtree(home)


@pytest.fixture
def kafka(kafka_broker: KafkaBroker) -> Iterator[KafkaBroker]:
    """The running broker, for one test; it runs again afterwards whatever the test did."""
    yield kafka_broker
    if kafka_broker._process is None:
        kafka_broker.start()


@pytest.fixture
def topic_prefix() -> str:
    return f"t{uuid.uuid4().hex[:12]}."


def jars() -> Path:
    """The folder of the jars; filled at the first time. Without Java or Maven the tests are skipped, which fails in CI."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"a Kafka broker needs `{program}`")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ias-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"kafka-{VERSION}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _download(folder)
    return folder


def _download(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        (Path(folder) / "pom.xml").write_text(_POM.format(version=VERSION))
        command = ("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            pytest.fail(f"Kafka's jars cannot be had from Maven Central:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        (Path(folder) / "jars").rename(target)
