"""What a sink tells about how far it is: offsets to Kafka, the lag to Prometheus. Nothing else depends on either."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.clickhouse import metrics
from connectors.clickhouse.lane import Lane

log = logging.getLogger(__name__)

_COMMIT_EVERY_S = 2.0
_LAG_EVERY_S = 5.0


class Progress:
    """How far the tables are."""

    def __init__(self) -> None:
        self._to_commit: dict[tuple[str, int], int] = {}
        self._committed_at = 0.0
        self._measured_at = 0.0

    def reached(self, topic: str, partition: int, next_offset: int) -> None:
        """Note the offset behind the last record of a partition that has been dealt with."""
        self._to_commit[topic, partition] = next_offset

    def forget(self) -> None:
        """Drop what has not been committed: the partitions may be another's."""
        self._to_commit.clear()

    def commit(self, consumer: Consumer, *, now: bool = False) -> None:
        """Tell Kafka how far the tables are, for whoever looks at the group's lag; every other second, or now."""
        if not self._to_commit or (not now and time.monotonic() - self._committed_at < _COMMIT_EVERY_S):
            return
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in self._to_commit.items()]
        try:
            if now:
                consumer.commit(offsets=offsets, asynchronous=False)
            else:
                consumer.commit(offsets=offsets)
        except KafkaException as error:
            log.info("offsets are not committed (only the lag shown is older): %s", error)
        self._to_commit.clear()
        self._committed_at = time.monotonic()

    def measure(self, consumer: Consumer, lanes: Iterable[Lane], flying: Mapping[int, int]) -> None:
        """Set the lag metric from what the last fetches told, now and then.

        Parameters
        ----------
        consumer
            Who reads.
        lanes
            The partitions that are read.
        flying
            Records on their way into the store, by the lane's ``id``.
        """
        if time.monotonic() - self._measured_at < _LAG_EVERY_S:
            return
        self._measured_at = time.monotonic()
        by_place = {(lane.spec.topic, lane.partition): lane for lane in lanes}
        for place in consumer.position([TopicPartition(topic, partition) for topic, partition in by_place]):
            lane = by_place[place.topic, place.partition]
            low, high = consumer.get_watermark_offsets(place, cached=True)
            if high >= 0:
                begin = place.offset if place.offset >= 0 else max(low, lane.end + 1)
                known = lane.count + flying.get(id(lane), 0)
                metrics.LAG.labels(place.topic, str(place.partition)).set(max(high - begin, 0) + known)
