"""One topic, its table, and sinks that carry the one to the other, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.clickhouse.client import open_client
from connectors.clickhouse.dead_letters import KafkaDeadLetters
from connectors.clickhouse.sink import Sink
from connectors.clickhouse.store import Store
from connectors.clickhouse.tables import TableSpec, TopicTable, create_sql
from connectors.kafka.topics import TopicSpec, apply
from connectors.registry.client import Registry
from schemas.codec import RecordCodec, schema_text
from schemas.market.records import MarketTick
from schemas.record import Record

PARTITIONS = 3


@contextmanager
def in_thread(run: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run something until the end of the block, where it is told to stop; what it raised is raised there."""
    stop, failures = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            run(stop)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    if failures:
        raise failures[0]


class Bench:
    """A topic, its table, and a producer.

    Attributes
    ----------
    carried
        What its sinks carry: the topic, and what a test adds.
    """

    def __init__(self, stack: Any, unique: str, record: type[Record] = MarketTick, *, first_partition_only: bool = False) -> None:
        self.endpoints = stack.endpoints
        self.topic = f"{unique}-topic"
        self.spec = TableSpec(self.topic, f"{unique}_table", record, first_partition_only=first_partition_only)
        self.registry = Registry(self.endpoints.registry)
        self.registry.register(f"{self.topic}-value", schema_text(record))
        self.codec = RecordCodec(f"{self.topic}-value", record, self.registry)
        apply(self.endpoints.kafka, [TopicSpec(self.topic, PARTITIONS, 1, {}), TopicSpec(self.spec.dead_letters, PARTITIONS, 1, {})])
        self.client: Client = open_client(self.endpoints.clickhouse)
        self.client.command(create_sql(self.spec))
        self.producer = Producer({"bootstrap.servers": self.endpoints.kafka, "enable.idempotence": True})
        self.stores: list[Store] = []
        self.carried: list[TopicTable] = [self.spec]

    def send(self, value: bytes | None, partition: int = 0, headers: Any = None) -> None:
        self.producer.produce(self.topic, value, b"key", partition, headers=headers)

    def sink(self, **options: Any) -> Sink:
        kafka = self.endpoints.kafka
        connect: Callable[[], Client] = lambda: open_client(self.endpoints.clickhouse)  # noqa: E731
        return Sink(kafka, f"{self.topic}-group", self.carried, connect, self.registry, KafkaDeadLetters(kafka), **options)

    def close(self) -> None:
        self.producer.close()
        self.client.close()
        self.registry.close()
        for store in self.stores:
            store.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        with in_thread(lambda stop: self.sink().run(stop)):
            yield

    def count(self, table: str = "") -> int:
        return int(str(self.client.command(f"SELECT count() FROM {table or self.spec.name}")))

    def wait_for(self, rows: int, timeout_s: float = 30.0, table: str = "") -> None:
        deadline = time.monotonic() + timeout_s
        while self.count(table) < rows:
            assert time.monotonic() < deadline, f"{self.count(table)} of {rows} rows"
            time.sleep(0.05)

    def dead_letters(self, wanted: int) -> list[Any]:
        consumer = Consumer({"bootstrap.servers": self.endpoints.kafka, "group.id": "x", "auto.offset.reset": "earliest"})
        consumer.assign([TopicPartition(self.spec.dead_letters, partition, 0) for partition in range(PARTITIONS)])
        found: list[Any] = []
        deadline = time.monotonic() + 15
        while len(found) < wanted and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(message)
        consumer.close()
        return found
