"""A gateway's world for tests: topics of its own, the simulated venue, and the gateway's processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka.headers import header_map
from connectors.kafka.topics import TopicSpec, apply
from quantum.trace import Headers
from schemas.codec import RecordCodec, schema_text
from schemas.common import OrderStatus, Side
from schemas.execution.records import ExecutionResult, OrderCommand
from tests.conftest import RunningStack
from tests.integration.gateway_process import PARTITIONS, RECORDS, Arguments, partitions_of, publisher_of, registry_at
from tests.integration.venue_process import VenueProcess
from tests.unit.exchange.orders.commands import command

FINAL = {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED}


def end_of(consumer: Consumer, topic: str, partition: int) -> int:
    """Return the end of a partition; of a topic that was made just now the leader may not know yet."""
    for _ in range(50):
        try:
            return int(consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1])
        except KafkaException as error:
            if error.args[0].name() not in ("NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PART"):
                raise
            time.sleep(0.2)
    raise AssertionError(f"{topic} {partition} has no leader")


@dataclass
class Bench:
    """A gateway's world: topics of its own, the venue, and the gateway's processes."""

    arguments: Arguments
    venue: VenueProcess
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, instance: str = "one") -> subprocess.Popen[bytes]:
        """Start a gateway."""
        arguments = msgspec.structs.replace(self.arguments, instance=instance)
        with (self.folder / "gateway.log").open("ab") as log:
            line = [sys.executable, "-m", "tests.integration.gateway_process", msgspec.json.encode(arguments).decode()]
            process = subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def log(self) -> str:
        """Return what the gateways have said."""
        return (self.folder / "gateway.log").read_text()

    def send(self, *commands: OrderCommand) -> None:
        """Put commands on the log."""
        publisher = publisher_of(self.arguments)
        for each in commands:
            publisher.send(f"{self.arguments.prefix}.command", each.account, each)
        publisher.flush()

    def read(self, name: str) -> list[tuple[Any, Headers]]:
        """Return the records of a topic and their headers."""
        topic = f"{self.arguments.prefix}.{name}"
        codec: RecordCodec[Any] = RecordCodec(f"{topic}-value", RECORDS[name], registry_at(self.arguments.registry))
        consumer = Consumer({"bootstrap.servers": self.arguments.kafka, "group.id": "reader", "enable.auto.commit": False})
        try:
            ends = {p: end_of(consumer, topic, p) for p in range(PARTITIONS)}
            consumer.assign([TopicPartition(topic, p, 0) for p, end in ends.items() if end > 0])
            found: list[tuple[Any, Headers]] = []
            while any(place.offset < ends[place.partition] for place in consumer.position(consumer.assignment())):
                for message in consumer.consume(1_000, 0.1):
                    assert message.error() is None
                    found.append((codec.decode(message.value() or b""), header_map(message)))
            return found
        finally:
            consumer.close()

    def active(self) -> str:
        """Return the instance that has the partition of the account, empty where none has."""
        ours = partitions_of("paper")[0]
        admin = AdminClient({"bootstrap.servers": self.arguments.kafka})
        try:
            group = admin.describe_consumer_groups([self.arguments.prefix])[self.arguments.prefix].result(10)
        except KafkaException as error:
            if error.args[0].name() not in ("COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"):
                raise
            return ""
        for member in group.members:
            if any(place.partition == ours for place in member.assignment.topic_partitions):
                return str(member.group_instance_id)
        return ""

    def until_active(self, *instances: str) -> None:
        """Wait until one of some instances has the partition of the account."""
        self.until(lambda: self.active() in instances, 40)

    def results(self) -> list[ExecutionResult]:
        """Return all results."""
        return [record for record, _ in self.read("result")]

    def committed(self) -> int:
        """Return how many commands have been committed."""
        consumer = Consumer({"bootstrap.servers": self.arguments.kafka, "group.id": self.arguments.prefix})
        try:
            places = consumer.committed([TopicPartition(f"{self.arguments.prefix}.command", p) for p in range(PARTITIONS)], timeout=10)
            return sum(max(place.offset, 0) for place in places)
        finally:
            consumer.close()

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.log()[-6_000:]
            time.sleep(0.1)

    def finished(self, names: set[str]) -> bool:
        """Return whether every order is over."""
        return names <= {result.client_order_id for result in self.results() if result.status in FINAL}


@contextmanager
def order_bench(stack: RunningStack, venue: VenueProcess, unique: str, folder: Path) -> Iterator[Bench]:
    """Make the topics and schemas of a gateway's world; its processes are ended afterwards."""
    arguments = Arguments(stack.endpoints.kafka, stack.endpoints.registry, unique, venue.usdm)
    registry = registry_at(arguments.registry)
    apply(arguments.kafka, [TopicSpec(f"{unique}.{name}", PARTITIONS, 1, {}) for name in RECORDS])
    for name, record in RECORDS.items():
        registry.register(f"{unique}.{name}-value", schema_text(record))
    made = Bench(arguments, venue, folder)
    try:
        yield made
    finally:
        for process in made.processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)


def market(name: str, symbol: str = "BTCUSDT", side: Side = Side.BUY, **changes: Any) -> OrderCommand:
    """Return a command that buys or sells a little at the market."""
    quantity = Decimal("0.002") if symbol == "BTCUSDT" else Decimal("0.01")
    return command(name, symbol=symbol, side=side, **{"quantity": quantity, "leverage": 3.0, **changes})
