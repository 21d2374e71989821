"""Whole homes for tests: servers with topics, schemas and tables, records written in transactions, and a sink that carries them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from click.testing import CliRunner, Result
from clickhouse_connect.driver.client import Client
from confluent_kafka import OFFSET_BEGINNING, Producer

from connectors.clickhouse.client import connect
from connectors.clickhouse.dead_letters import KafkaDeadLetters
from connectors.clickhouse.sink import Sink
from connectors.registry.client import Registry
from infra.clickhouse.generate import carried
from infra.components.history import GROUP
from infra.local.stack import Stack
from processors.components import partitions_of, read_from, registry
from processors.contracts import apply_schemas, apply_tables, apply_topics
from processors.topology import TOPICS
from quantum.cli import main
from quantum.home import Home
from quantum.settings import Settings
from quantum.trace import caused_headers
from schemas.codec import RecordCodec
from tests.integration.history_rows import Row
from tests.integration.sink_bench import in_thread

CARRIED_S = 60.0
PARTITIONS = 2
"""Of every topic: fewer than usual, so that a hundred topics are made quickly."""


class Platform:
    """A home and its servers, which end with this process."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self._stack = Stack(self.home, ports={"kafka": 0, "registry": 0, "store": 0}, die_with_parent=True)
        ends = self._stack.up()
        self.settings = Settings(home=root, partitions=PARTITIONS, kafka=ends.kafka, registry=ends.registry, clickhouse=ends.clickhouse)

    @cached_property
    def client(self) -> Client:
        """A client of the store, whose tables are there."""
        return connect(self.settings)

    def down(self) -> None:
        """End the servers."""
        self._stack.down()

    def declare(self) -> None:
        """Make topics, subjects and tables as git declares them."""
        apply_topics(self.settings)
        with Registry(self.settings.registry) as subjects:
            apply_schemas(subjects)
        apply_tables(self.settings)

    def write(self, rows: dict[str, list[Row]]) -> None:
        """Write records, sixty a transaction: between the transactions there are offsets without a record."""
        producer = Producer({"bootstrap.servers": self.settings.kafka, "transactional.id": "test", "linger.ms": 1})
        producer.init_transactions(30)
        with registry(self.settings) as ids:
            for name, each in rows.items():
                topic = TOPICS[name]
                codec = RecordCodec(topic.subject, topic.record, ids)
                for some in (each[start : start + 60] for start in range(0, len(each), 60)):
                    producer.begin_transaction()
                    for row in some:
                        key = ":".join(str(getattr(row.record, part)) for part in topic.key.split(":"))
                        headers = list(caused_headers(row.record.event_id, row.cause, {}).items())
                        for partition in partitions_of(topic, self.settings.partitions, key):
                            producer.produce(
                                name, codec.encode(row.record), key, partition, timestamp=row.at_us // 1000, headers=list(headers)
                            )
                    producer.commit_transaction(30)

    def write_letters(self) -> None:
        """Write dead letters of two topics, each in a partition of its own."""
        producer = Producer({"bootstrap.servers": self.settings.kafka, "enable.idempotence": True})
        for partition, name in enumerate(("market.tick", "trade.intent")):
            for number in range(3):
                headers = [("dlq.offset", b"%d" % number), ("dlq.stage", b"risk"), ("dlq.error", b"ValueError")]
                producer.produce(TOPICS[name].dead_letters, b"\x00torn", b"key", partition, headers=list(headers))
        producer.flush()

    def places(self) -> dict[str, set[tuple[int, int]]]:
        """Return partition and offset of every record that the history keeps, by table; one partition's of a broadcast topic."""
        kept = {spec.topic: spec for spec in carried()}
        starts = {
            (spec.topic, partition): OFFSET_BEGINNING
            for spec in kept.values()
            for partition in range(1 if spec.first_partition_only else self.settings.partitions)
        }
        found: dict[str, set[tuple[int, int]]] = {spec.table: set() for spec in kept.values()}
        for message in read_from(self.settings.kafka, starts):
            found[kept[message.topic() or ""].table].add((message.partition() or 0, message.offset() or 0))
        return found

    def stored(self, table: str) -> list[tuple[int, int]]:
        """Return partition and offset of every row of a table, in their order."""
        found = self.rows(table, "_partition, _offset")
        return list(zip(found["_partition"].to_pylist(), found["_offset"].to_pylist(), strict=True))

    def rows(self, table: str, columns: str = "*") -> pa.Table:
        """Return the rows of a table in order of partition and offset."""
        sql = f"SELECT {columns} FROM quantum.{table} ORDER BY _partition, _offset"
        return pa.ipc.open_stream(self.client.raw_query(sql, fmt="ArrowStream")).read_all().combine_chunks()

    def carry(self) -> None:
        """Run a sink until the history has every record that is on the topics now."""
        wanted = self.places()
        with self.sink():
            deadline = time.monotonic() + CARRIED_S
            for table, places in wanted.items():
                while places - set(self.stored(table)):
                    assert time.monotonic() < deadline, f"{table} lacks rows"
                    time.sleep(0.1)

    @contextmanager
    def sink(self) -> Iterator[None]:
        """Run a sink for the length of the block."""

        def run(stop: threading.Event) -> None:
            settings = self.settings
            with registry(settings) as ids:
                dead = KafkaDeadLetters(settings.kafka)
                Sink(settings.kafka, GROUP, carried(), partial(connect, settings), ids, dead).run(stop)

        with in_thread(run):
            yield

    def environment(self) -> dict[str, str]:
        """Return what makes a command one of this home."""
        return {
            "QUANTUM_HOME": str(self.home.root),
            "QUANTUM_PARTITIONS": str(PARTITIONS),
            "QUANTUM_KAFKA": self.settings.kafka,
            "QUANTUM_REGISTRY": self.settings.registry,
            "QUANTUM_CLICKHOUSE": self.settings.clickhouse,
        }

    def whole_environment(self) -> dict[str, str]:
        """Return the environment of a process of this home."""
        return {**os.environ, **self.environment()}

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """Return the words of a command in a process of its own."""
        return [sys.executable, "-m", "quantum", *arguments]

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command of this home in a process of its own."""
        values = {**self.whole_environment(), **environment}
        return subprocess.Popen(
            self.command(*arguments), env=values, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str, **environment: str) -> Result:
        """Run a command of this home in this process."""
        return CliRunner(env={**self.environment(), **environment}).invoke(main, list(arguments))


def tables() -> Iterable[str]:
    """Return the names of the history's tables."""
    return dict.fromkeys(spec.table for spec in carried())
