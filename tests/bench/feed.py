"""Writing many records to a topic."""

from __future__ import annotations

from confluent_kafka import Producer

from quantum.trace import Headers

_WAIT_S = 0.05


def send(producer: Producer, topic: str, value: bytes, key: str, partition: int = -1, headers: Headers | None = None) -> None:
    """Hand a record to a producer; while its queue is full, wait."""
    while True:
        try:
            producer.produce(topic, value, key, partition, headers=list(headers.items()) if headers else None)
            break
        except BufferError:
            producer.poll(_WAIT_S)
