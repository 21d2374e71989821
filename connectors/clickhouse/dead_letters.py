"""Records that cannot be kept, to their topic's dead-letter topic: raw bytes, and ``dlq.*`` headers that say where and why."""

from __future__ import annotations

from typing import Protocol

from confluent_kafka import KafkaError, Message, Producer

from connectors.clickhouse.records import Rejected
from connectors.clickhouse.tables import TopicTable
from connectors.kafka.config import client_config
from quantum.errors import RetryError

_MAX_MESSAGE = 1_000


class DeadLetters(Protocol):
    """Takes the records that the sink cannot keep."""

    def send(self, spec: TopicTable, rejected: list[Rejected]) -> None:
        """Store the records; when this returns they are on the dead-letter topic. Raises RetryError where that fails."""


class KafkaDeadLetters:
    """Dead letters on ``<topic>.dlq``.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    stage
        Who could not process them, for the headers.
    timeout_s
        Longest wait until they are stored.
    """

    def __init__(self, bootstrap: str, stage: str = "sink", timeout_s: float = 30.0) -> None:
        self._stage = stage
        self._timeout_s = timeout_s
        self._producer = Producer(client_config(bootstrap, enable_idempotence=True, compression_type="lz4"))

    def send(self, spec: TopicTable, rejected: list[Rejected]) -> None:
        """Store the records; see ``DeadLetters``."""
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error)

        for letter in rejected:
            record = letter.record
            about = {
                "dlq.topic": spec.topic,
                "dlq.partition": str(record.partition()),
                "dlq.offset": str(record.offset()),
                "dlq.timestamp": str(record.timestamp()[1]),
                "dlq.stage": self._stage,
                "dlq.error": letter.kind,
                "dlq.message": letter.error[:_MAX_MESSAGE],
            }
            own = record.headers() or []
            headers = [*(own.items() if isinstance(own, dict) else own), *about.items()]
            self._producer.produce(spec.dead_letters, record.value(), record.key(), on_delivery=delivered, headers=headers)
        left = self._producer.flush(self._timeout_s)
        if failed or left:
            raise RetryError(
                f"{len(failed) or left} records could not be stored on {spec.dead_letters}: {failed[0] if failed else 'no answer'}",
                "see quantum status",
            )
