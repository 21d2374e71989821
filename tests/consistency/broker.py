"""Writing to and reading from topics, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A record as a test sees it."""

    partition: int
    offset: int
    timestamp: int
    key: str
    value: bytes
    headers: dict[str, bytes]


def create_topics(bootstrap: str, *names: str, partitions: int = PARTITIONS) -> None:
    """Create topics."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    made = admin.create_topics([NewTopic(name, partitions, 1) for name in names])
    for future in made.values():
        future.result()


def write(
    bootstrap: str, topic: str, rows: Iterable[tuple[str, bytes | None]], *, timestamps: Sequence[int] | None = None, partition: int = -1
) -> None:
    """Write keys and values; timestamps in milliseconds."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "partitioner": "murmur2_random"})
    for index, (key, value) in enumerate(rows):
        producer.produce(topic, value, key, partition, timestamp=timestamps[index] if timestamps else 0)
        producer.poll(0)
    producer.flush()


def _row(message: Message) -> Row:
    key, value, pairs = message.key(), message.value(), message.headers()
    headers = dict(pairs) if pairs else {}
    return Row(
        int(message.partition() or 0), int(message.offset() or 0), message.timestamp()[1], (key or b"").decode(), value or b"",
        {name: each if isinstance(each, bytes) else b"" for name, each in headers.items()},
    )  # fmt: skip


def read(
    bootstrap: str, topic: str, *, until: Callable[[list[Row]], bool] | int, limit_s: float = 30.0, isolation: str = "read_committed"
) -> list[Row]:
    """Read a topic from its beginning until a condition, or a number of records, is met; then what else is there at once.

    Raises
    ------
    TimeoutError
        The condition is not met in time.
    """
    met = until if callable(until) else (lambda rows: len(rows) >= until)
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"{topic}-reader", "isolation.level": isolation, "enable.auto.commit": False}
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    rows: list[Row] = []
    deadline = time.monotonic() + limit_s
    quiet = False
    try:
        while not quiet:
            got = consumer.consume(10_000, 0.3)
            rows += [_row(message) for message in got if message.error() is None]
            quiet = not got and met(rows)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: {len(rows)} records after {limit_s} s")
    finally:
        consumer.close()
    return rows


def stable_and_end(bootstrap: str, topic: str) -> list[tuple[int, int]]:
    """Return of each partition the last stable offset and the end offset: equal where no transaction hangs."""
    ends: list[tuple[int, int]] = []
    for isolation in ("read_committed", "read_uncommitted"):
        reader = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{topic}-ends", "isolation.level": isolation})
        partitions = sorted(reader.list_topics(topic, timeout=10).topics[topic].partitions)
        found = [reader.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1] for number in partitions]
        ends = [(end, 0) for end in found] if not ends else [(stable, end) for (stable, _), end in zip(ends, found, strict=True)]
        reader.close()
    return ends
