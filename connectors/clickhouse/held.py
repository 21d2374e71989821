"""Partitions that are read no further for now: their table lacks a column that their records need, or their topic ends before it."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.clickhouse import metrics
from quantum.errors import RetryError

log = logging.getLogger(__name__)

HOLD_S = 2.0
"""How long a partition waits until its table is looked at again."""
_SAID_AGAIN_S = 60.0
Place = tuple[str, int]


class Held:
    """The partitions that one consumer holds; the others go on."""

    def __init__(self) -> None:
        self._until: dict[Place, float] = {}
        self._said: dict[Place, tuple[str, float]] = {}

    def __bool__(self) -> bool:
        return bool(self._until)

    def hold(self, consumer: Consumer, place: Place, why: Exception, seconds: float = HOLD_S) -> None:
        """Read a partition no further for some time; why is said when it changes, and every minute."""
        consumer.pause([TopicPartition(*place)])
        now = time.monotonic()
        self._until[place] = now + seconds
        metrics.HELD.set(len(self._until))
        metrics.TROUBLES.inc()
        text, said = self._said.get(place, ("", 0.0))
        if str(why) != text or now - said > _SAID_AGAIN_S:
            self._said[place] = str(why), now
            log.warning("%s, partition %d waits: %s", *place, why)

    def due(self, flying: Collection[Place]) -> list[Place]:
        """Return the partitions that have waited long enough and have nothing on its way into the store."""
        now = time.monotonic()
        return [place for place, until in self._until.items() if until <= now and place not in flying]

    def release(self, consumer: Consumer, place: Place, offset: int) -> None:
        """Read a partition again, from an offset; raises RetryError where it cannot be read from there now."""
        del self._until[place]
        metrics.HELD.set(len(self._until))
        try:
            consumer.seek(TopicPartition(*place, offset))
            consumer.resume([TopicPartition(*place)])
        except KafkaException as error:
            raise RetryError(f"{place[0]}, partition {place[1]} cannot be read again yet: {error}", "nothing; all begin anew") from error

    def forget(self) -> None:
        """Drop them all: a later assignment reads them again."""
        self._until.clear()
        metrics.HELD.set(0)
