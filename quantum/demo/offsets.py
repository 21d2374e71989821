"""How far the topics have grown and how far each stage has come."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from connectors.kafka.config import client_config
from connectors.kafka.topics import passes
from quantum.errors import RetryError
from quantum.settings import Settings

TIMEOUT_S = 10.0
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at the offsets.

    Attributes
    ----------
    ends
        Last stable offset by topic and partition; transaction markers count as offsets.
    committed
        Committed offset by group, topic and partition.
    """

    ends: dict[Place, int]
    committed: dict[str, dict[Place, int]]

    def written(self, topics: Iterable[str]) -> int:
        """Return how far some topics have grown, all partitions together."""
        wanted = set(topics)
        return sum(offset for (topic, _), offset in self.ends.items() if topic in wanted)

    def behind(self, group: str, place: Place) -> int:
        """Return how many offsets a group has yet to read of a partition; what it never committed counts from the beginning."""
        return max(0, self.ends[place] - self.committed.get(group, {}).get(place, 0))

    def lag(self, group: str, places: Iterable[Place]) -> int:
        """Return about how many records a group has yet to read of some partitions.

        A partition that is written in transactions ends with a marker, which no consumer is given: one offset a partition
        is taken for that.
        """
        return sum(max(0, self.behind(group, place) - 1) for place in places)

    def reached(self, group: str, ends: Mapping[Place, int]) -> bool:
        """Return whether a group has committed what was there at some earlier ends, but for a marker at each."""
        done = self.committed.get(group, {})
        return all(done.get(place, 0) >= end - 1 for place, end in ends.items())


class Offsets:
    """Asks the broker.

    Parameters
    ----------
    settings
        Settings of the platform.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = AdminClient(client_config(settings.kafka))

    def look(self, topics: Iterable[str], groups: Iterable[str]) -> Progress:
        """Return the offsets now; raises RetryError where the broker does not answer within ten seconds."""
        places = [TopicPartition(name, p) for name in topics for p in range(self._settings.partitions)]
        wanted = list(groups)
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                return Progress(self._ends(places), {group: self._committed(group) for group in wanted})
            except KafkaException as error:  # a topic just made has no leader yet, a group just made no coordinator
                if not passes(error.args[0]) or time.monotonic() > deadline:
                    raise RetryError(f"Kafka at {self._settings.kafka} does not say its offsets: {error}", "quantum status") from error
            time.sleep(0.1)

    def _ends(self, places: list[TopicPartition]) -> dict[Place, int]:
        asked = self._admin.list_offsets(
            {place: OffsetSpec.latest() for place in places}, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=TIMEOUT_S
        )
        return {(place.topic, place.partition): future.result().offset for place, future in asked.items()}

    def _committed(self, group: str) -> dict[Place, int]:
        answer = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=TIMEOUT_S)
        found = answer[group].result().topic_partitions or []
        return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
