"""Partitions that are read no further until their table has the columns that their records need."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.clickhouse import metrics
from quantum.errors import RetryError

log = logging.getLogger(__name__)

_HOLD_S = 2.0
"""How long a partition waits until its table is looked at again."""
Place = tuple[str, int]


class Held:
    """The partitions that one consumer holds; the others go on."""

    def __init__(self) -> None:
        self._until: dict[Place, float] = {}

    def __bool__(self) -> bool:
        return bool(self._until)

    def hold(self, consumer: Consumer, place: Place, why: Exception) -> None:
        """Read a partition no further for some time."""
        consumer.pause([TopicPartition(*place)])
        self._until[place] = time.monotonic() + _HOLD_S
        metrics.TROUBLES.inc()
        log.warning("%s, partition %d waits: %s", *place, why)

    def due(self, flying: Collection[Place]) -> list[Place]:
        """Return the partitions that have waited long enough and have nothing on its way into the store."""
        now = time.monotonic()
        return [place for place, until in self._until.items() if until <= now and place not in flying]

    def release(self, consumer: Consumer, place: Place, offset: int) -> None:
        """Read a partition again, from an offset; raises RetryError where it cannot be read from there now."""
        del self._until[place]
        try:
            consumer.seek(TopicPartition(*place, offset))
            consumer.resume([TopicPartition(*place)])
        except KafkaException as error:
            raise RetryError(f"{place[0]}, partition {place[1]} cannot be read again yet: {error}", "nothing; all begin anew") from error

    def forget(self) -> None:
        """Drop them all: a later assignment reads them again."""
        self._until.clear()
