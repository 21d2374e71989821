"""Writing to and reading from topics, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

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


def read_to_end(bootstrap: str, topic: str, isolation: str = "read_committed") -> Iterator[Row]:
    """Yield a topic's records from its beginning to its end as it is now, markers passed.

    Raises
    ------
    TimeoutError
        Nothing comes for 30 s: a transaction is open, or the broker is away.
    """
    settings = {"group.id": f"{topic}-reader", "isolation.level": isolation, "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
    pending = {TopicPartition(topic, number, 0) for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions}
    consumer.assign(list(pending))
    heard = time.monotonic()
    try:
        while pending:
            for message in consumer.consume(10_000, 0.1):
                heard = time.monotonic()
                error = message.error()
                if error is None:
                    yield _row(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    pending.discard(TopicPartition(topic, int(message.partition() or 0)))
                elif not error.retriable():
                    raise KafkaException(error)
            if time.monotonic() - heard > 30.0:
                raise TimeoutError(f"{topic}: nothing for 30 s, {len(pending)} partitions are not at their end")
    finally:
        consumer.close()


def ends(bootstrap: str, topics: Iterable[str] = (), *, committed: bool = False) -> dict[tuple[str, int], int]:
    """Return the end offset, or the last stable offset, of every partition of topics; without topics, of all on the broker."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    wanted = set(topics)
    request = {
        TopicPartition(name, number): OffsetSpec.latest()
        for name, topic in admin.list_topics(timeout=10).topics.items()
        for number in topic.partitions
        if not wanted or name in wanted
    }
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    answers = admin.list_offsets(request, isolation_level=level, request_timeout=10)
    return {(at.topic, at.partition): future.result().offset for at, future in answers.items()}


def hanging(bootstrap: str, topics: Iterable[str] = ()) -> list[tuple[str, int]]:
    """Return the partitions whose last stable offset is before their end: a transaction is open there."""
    topics = list(topics)
    stable = ends(bootstrap, topics, committed=True)
    return [at for at, end in ends(bootstrap, topics).items() if stable.get(at, -1) < end]
