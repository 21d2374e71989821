"""Several topics of one partition number, each read from its beginning in pieces that are asked for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from connectors.kafka.config import client_config
from quantum.errors import RetryError

READ_TIMEOUT_S = 10.0
_PIECE = 5_000
_FULL = 20_000


class Tapes:
    """The committed records of topics in one partition number, in the order of each topic.

    A topic whose records are not asked for is not read further than some 20,000 records ahead.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    topics
        The topics.
    partition
        The partition number.
    """

    def __init__(self, bootstrap: str, topics: Iterable[str], partition: int) -> None:
        self._places = {topic: TopicPartition(topic, partition, OFFSET_BEGINNING) for topic in topics}
        self._ready: dict[str, deque[Message]] = {topic: deque() for topic in self._places}
        self._paused: set[str] = set()
        self._consumer = Consumer(
            client_config(
                bootstrap, group_id="quantum-tapes", enable_auto_commit=False, isolation_level="read_committed", fetch_wait_max_ms=20
            )
        )
        self._consumer.assign(list(self._places.values()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._consumer.close()

    def take(self, topic: str, count: int) -> list[Message]:
        """Return the next records of a topic, exactly so many.

        Raises
        ------
        RetryError
            There are not so many, or the broker does not answer.
        """
        ready = self._ready[topic]
        deadline = time.monotonic() + READ_TIMEOUT_S
        while len(ready) < count:
            if topic in self._paused:
                self._paused.discard(topic)
                self._consumer.resume([self._places[topic]])
            before = len(ready)
            self._read()
            if len(ready) > before:
                deadline = time.monotonic() + READ_TIMEOUT_S
            elif time.monotonic() > deadline:
                raise RetryError(
                    f"{self._places[topic]} has {len(ready)} more records where {count} are expected",
                    "see that the broker answers; the topic's retention may have deleted them",
                )
        return [ready.popleft() for _ in range(count)]

    def _read(self) -> None:
        first = self._consumer.poll(0.2)
        if first is None:
            return
        for message in (first, *self._consumer.consume(_PIECE, 0)):
            if message.error() is None:
                self._ready[str(message.topic())].append(message)
        full = [topic for topic, ready in self._ready.items() if len(ready) > _FULL and topic not in self._paused]
        if full:
            self._paused.update(full)
            self._consumer.pause([self._places[topic] for topic in full])
