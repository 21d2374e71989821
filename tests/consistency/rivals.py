"""Producers of one transactional id that take it from each other, each with many requests under way, and are let go.

``python -m tests.consistency.rivals BOOTSTRAP TOPIC PARTITIONS TIMES`` prints how often. It is a process of its own, since librdkafka
ends the process where the producer is let go too early.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from confluent_kafka import KafkaException

from processors.runtime.api.topics import Outgoing
from processors.runtime.epochs.faults import Faults
from processors.runtime.kafka.producer import Committer

_SIDE_BY_SIDE = 4
_FENCED_S = 10.0


def take_over(bootstrap: str, topic: str, partitions: int, number: int) -> bool:
    """Have a producer fenced between its records and their answers; return whether it was told."""
    records: list[Outgoing] = [(topic, partition, b"key", b"value", None, 0) for partition in range(partitions)]
    older, newer = (Committer({"bootstrap.servers": bootstrap}, f"{topic}-{number}", 10.0, lambda: False, Faults("")) for _ in range(2))
    older.renew()
    producer = older._producer
    assert producer is not None
    producer.call("begin_transaction")
    producer.write(records)
    producer.call("flush", _FENCED_S)  # from here on its partitions are part of the transaction, and nothing is asked for them
    newer.renew()
    told = False
    try:
        producer.write(records)
        deadline = time.monotonic() + _FENCED_S
        while time.monotonic() < deadline:
            producer.call("poll", 0.001)
    except KafkaException:
        told = True
    older.close()
    newer.close()
    return told


def main(bootstrap: str, topic: str, partitions: int, times: int) -> None:
    """Do it as often as asked."""
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
        told = list(threads.map(partial(take_over, bootstrap, topic, partitions), range(times)))
    print(f"{sum(told)} of {times} were fenced")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
