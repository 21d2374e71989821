"""The counting task on confluent-kafka alone: consume, count, produce, commit in one transaction; no table, no recovery.

``python -m tests.bench.peers.bare_loop`` with PREFIX and BOOTSTRAP in the environment; it runs until it is terminated.
"""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from types import FrameType

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from connectors.kafka.config import client_config

BATCH = 5_000


def main() -> None:
    """Count until the process is told to end."""
    prefix, bootstrap = os.environ["PREFIX"], os.environ["BOOTSTRAP"]
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    gc.freeze()
    consumer = Consumer(
        client_config(
            bootstrap, group_id=f"{prefix}-app", enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
        )
    )
    producer = Producer(client_config(bootstrap, transactional_id=f"{prefix}-app", linger_ms=5))
    producer.init_transactions()
    consumer.subscribe([f"{prefix}-in"])
    counts: Counter[bytes] = Counter()
    while not stopping:
        first = consumer.poll(0.1)
        if first is not None:
            _epoch(consumer, producer, [first, *consumer.consume(BATCH, 0)], counts, f"{prefix}-out")
    consumer.close()


def _epoch(consumer: Consumer, producer: Producer, messages: list[Message], counts: Counter[bytes], output: str) -> None:
    """Deal with some messages in one transaction."""
    producer.begin_transaction()
    after: dict[tuple[str, int], int] = {}
    for message in messages:
        error, key, topic, partition, offset = message.error(), message.key(), message.topic(), message.partition(), message.offset()
        if error is not None or key is None or topic is None or partition is None or offset is None:
            raise RuntimeError(f"this loop handles no trouble: {error}")
        counts[key] += 1
        producer.produce(output, b"%d" % counts[key], key)
        after[topic, partition] = offset + 1
    places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in after.items()]
    producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata())
    producer.commit_transaction()


if __name__ == "__main__":
    main()
