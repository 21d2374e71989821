"""The sink under kill -9 of itself and of the store, and two sinks with a stall: nothing lost, nothing doubled."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from connectors.clickhouse.tables import TableSpec, create_sql
from connectors.kafka.topics import TopicSpec, apply
from connectors.registry.client import Registry
from schemas.codec import RecordCodec, schema_text
from schemas.market.records import MarketTick
from tests.integration.history_process import ROOT, StoreProcess
from tests.integration.sink_process import SESSION_S
from tests.unit.test_codec import TICK

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
PARTITIONS = 4
RATE = 4_000


class Field:
    """A topic that is fed all the time, a store and sinks that may be killed."""

    def __init__(self, stack: Any, unique: str, folder: Path) -> None:
        self.kafka, self.registry_url = stack.endpoints.kafka, stack.endpoints.registry
        self.topic, self.group = f"{unique}-topic", f"{unique}-group"
        self.spec = TableSpec(self.topic, f"{unique}_table", MarketTick)
        self.folder = folder
        registry = Registry(self.registry_url)
        registry.register(f"{self.topic}-value", schema_text(MarketTick))
        codec = RecordCodec(f"{self.topic}-value", MarketTick, registry)
        self.values = [codec.encode(replace(TICK, trade_id=number)) for number in range(1000)]
        registry.close()
        apply(self.kafka, [TopicSpec(self.topic, PARTITIONS, 1, {}), TopicSpec(self.spec.dead_letters, PARTITIONS, 1, {})])
        self.store = StoreProcess(folder).start()
        self.store.http(create_sql(self.spec), b"")
        self.sinks: list[subprocess.Popen[bytes]] = []
        self.sent = [0] * PARTITIONS
        self._fed = threading.Event()
        self._feeder = threading.Thread(target=self._feed)
        self._feeder.start()

    def _feed(self) -> None:
        producer = Producer({"bootstrap.servers": self.kafka, "enable.idempotence": True, "linger.ms": 5})
        number = 0
        while not self._fed.is_set():
            for _ in range(RATE // 20):
                producer.produce(self.topic, self.values[number % 1000], b"k", number % PARTITIONS)
                self.sent[number % PARTITIONS] += 1
                number += 1
            producer.poll(0)
            time.sleep(0.05)
        producer.flush()

    def start_sink(self) -> subprocess.Popen[bytes]:
        arguments = [self.kafka, self.registry_url, self.store.url, self.topic, self.spec.table, self.group]
        command = [sys.executable, "-m", "tests.integration.sink_process", *arguments]
        with (self.folder / "sink.log").open("ab") as log:
            sink = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self.sinks.append(sink)
        return sink

    def rows(self) -> int:
        return int(self.store.http(f"SELECT count() FROM {self.spec.name}")[2])

    def stop_feeding(self) -> None:
        self._fed.set()
        self._feeder.join()

    def check(self) -> None:
        """Every record is a row, once; waits until the sinks have caught up."""
        self.stop_feeding()
        deadline = time.monotonic() + 60
        while self.rows() < sum(self.sent) and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2.0)  # a doubled block would come now
        sql = (
            f"SELECT _partition, count(), uniqExact(_offset), max(_offset) FROM {self.spec.name} "
            "GROUP BY _partition ORDER BY _partition FORMAT CSV"
        )
        found = [tuple(map(int, line.split(","))) for line in self.store.http(sql)[2].decode().splitlines()]
        wanted = [(partition, sent, sent, sent - 1) for partition, sent in enumerate(self.sent)]
        assert found == wanted, (self.folder / "sink.log").read_text()[-3000:]

    def close(self) -> None:
        self.stop_feeding()
        for sink in self.sinks:
            if sink.poll() is None:
                sink.send_signal(signal.SIGCONT)
                sink.terminate()
                sink.wait(30)
        self.store.stop()


@pytest.fixture
def field(stack: Any, unique: str, tmp_path: Path) -> Any:
    made = Field(stack, unique, tmp_path)
    yield made
    made.close()


def test_kills_of_the_sink(field: Field) -> None:
    for number in range(6):
        sink = field.start_sink()
        before = field.rows()
        while field.rows() == before:
            assert sink.poll() is None, (field.folder / "sink.log").read_text()
            time.sleep(0.05)
        time.sleep(0.15 * number)
        sink.kill()
        sink.wait(30)
    field.start_sink()
    field.check()


def test_kills_of_the_store(field: Field) -> None:
    sink = field.start_sink()
    for number in range(4):
        before = field.rows()
        deadline = time.monotonic() + 60
        while field.rows() == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3 * number)
        field.store.kill()
        time.sleep(0.5)
        field.store.start()
    field.check()
    assert sink.poll() is None, "the sink waits for the store, it does not end"


def test_two_sinks_and_a_stall(field: Field) -> None:
    first, second = field.start_sink(), field.start_sink()
    time.sleep(5.0)
    first.send_signal(signal.SIGSTOP)
    time.sleep(SESSION_S + 4.0)  # the group gives its partitions to the second
    first.send_signal(signal.SIGCONT)
    time.sleep(4.0)
    second.send_signal(signal.SIGSTOP)
    time.sleep(1.0)  # shorter than the session: nobody takes over
    second.send_signal(signal.SIGCONT)
    field.check()
    assert first.poll() is None
    assert second.poll() is None
