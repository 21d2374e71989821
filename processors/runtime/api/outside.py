"""Sends of a process in which no worker runs: a command, a script, ``faust send``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, Message, Producer
from faust.types import RecordMetadata
from faust.types.tuples import TP
from mode import Service

from processors.runtime.api.topics import Outgoing
from processors.runtime.kafka.poller import CLIENT
from quantum.errors import RetryError

_POLL_S = 0.05


class OutsideProducer(Service):
    """An idempotent producer whose every send is stored by all replicas before it returns: there is no epoch it could belong to.

    Parameters
    ----------
    config
        librdkafka's settings of the cluster.
    """

    def __init__(self, config: Callable[[], Mapping[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._config = config
        self._producer: Producer | None = None

    async def send(self, record: Outgoing) -> RecordMetadata:
        """Write a record and return where it is.

        Raises
        ------
        RetryError
            It was not stored.
        """
        return await asyncio.to_thread(self._send, record)

    def _send(self, record: Outgoing) -> RecordMetadata:
        if self._producer is None:
            self._producer = Producer(
                {**CLIENT, "linger.ms": 0, "topic.metadata.propagation.max.ms": 5_000, **self._config(), "enable.idempotence": True}
            )
        topic, partition, key, value, headers, timestamp = record
        answers: list[tuple[KafkaError | None, Message]] = []
        produce: Any = self._producer.produce
        produce(
            topic, value, key, partition, timestamp=timestamp, headers=headers or [],
            on_delivery=lambda error, message: answers.append((error, message)),
        )  # fmt: skip
        while not answers:
            self._producer.poll(_POLL_S)
        error, message = answers[0]
        if error is not None:
            raise RetryError(f"a record for {topic} was not stored: {error.str()}", "see that the topic exists and the broker answers")
        place = TP(topic, int(message.partition() or 0))
        return RecordMetadata(place.topic, place.partition, place, int(message.offset() or 0), message.timestamp()[1] / 1000)

    async def on_stop(self) -> None:
        """Let the producer go; nothing waits in it."""
        self._producer = None
