"""Records from a component to Kafka: idempotent, in order, each delivery answered for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from connectors.kafka.config import client_config
from quantum.errors import ConfigurationError, RetryError
from quantum.trace import Headers, root_headers
from schemas.codec import RecordCodec
from schemas.record import Record


@dataclass(frozen=True, slots=True)
class Route:
    """How the records of one topic are written.

    Attributes
    ----------
    topic
        Name of the topic.
    codec
        Codec of its values.
    partitions_of
        The partitions that a key's record goes to: one, or all for a broadcast topic.
    """

    topic: str
    codec: RecordCodec[Any]
    partitions_of: Callable[[str], tuple[int, ...]]


class Publisher:
    """Writes records of the topics that a component may write.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    routes
        The topics it may write, by name.
    linger_ms
        How long a record may wait for more of them, so that they cost the broker one request, milliseconds.
    """

    def __init__(self, bootstrap: str, routes: Mapping[str, Route], linger_ms: int = 2) -> None:
        self._routes = routes
        self._failed: KafkaError | None = None
        self._producer = Producer(
            client_config(
                bootstrap, enable_idempotence=True, linger_ms=linger_ms, compression_type="lz4", queue_buffering_max_messages=200_000
            )
        )

    def send(self, topic: str, key: str, record: Record, headers: Headers | None = None) -> None:
        """Queue a record; blocks while the queue is full, which is how a slow broker slows its writers.

        Raises
        ------
        RetryError
            An earlier record could not be delivered; nothing after it is sent, so that the order holds.
        """
        self._check()
        route = self._routes.get(topic)
        if route is None:
            raise ConfigurationError(f"this component may not write {topic}", "add it to the component's writes in processors/topology.py")
        value = route.codec.encode(record)
        sent = headers if headers is not None else root_headers(record.event_id)
        for partition in route.partitions_of(key):
            while True:
                try:
                    self._producer.produce(topic, value, key, partition, on_delivery=self._delivered, headers=dict(sent))
                    break
                except BufferError:
                    self._producer.poll(0.05)
        self._producer.poll(0)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything sent is stored; raises RetryError where that fails or takes longer."""
        left = self._producer.flush(timeout_s)
        self._check()
        if left:
            raise RetryError(f"{left} records are not stored after {timeout_s:g} s", "see whether Kafka answers: quantum status")

    def close(self) -> None:
        """Let the client go once everything is stored; nothing can be sent any more."""
        self.flush()
        self._producer.close()

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None and self._failed is None:
            self._failed = error

    def _check(self) -> None:
        if self._failed is not None:
            raise RetryError(f"a record could not be stored: {self._failed}", "see whether Kafka answers: quantum status")
