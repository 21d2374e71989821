"""Topics as logs: who they are, where they begin and end, what they have set, who reads them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource, OffsetSpec, ResourceType

from connectors.kafka.config import client_config
from connectors.kafka.topics import passes
from quantum.errors import RetryError

TIMEOUT_S = 30.0
_POLL_S = 0.05
REMEDY = "see whether Kafka answers: quantum status"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a partition begins (its first offset) and ends (the next offset)."""

    begin: int
    end: int

    @property
    def empty(self) -> bool:
        """Whether it holds nothing."""
        return self.begin == self.end


class Logs:
    """The topics of a broker, as logs.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    """

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient(client_config(bootstrap))

    def cluster(self) -> str:
        """Return the id of the cluster."""
        with answers(self.bootstrap):
            found = self._admin.describe_cluster(request_timeout=TIMEOUT_S).result()
            return str(found.cluster_id)

    def ids(self, topics: Iterable[str]) -> dict[str, str]:
        """Return the ids of those topics that exist; one that is deleted and made again has another."""
        found: dict[str, str] = {}
        with answers(self.bootstrap):
            for name, future in self._admin.describe_topics(TopicCollection(list(topics)), request_timeout=TIMEOUT_S).items():
                try:
                    found[name] = str(future.result().topic_id)
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                        raise
        return found

    def partitions(self) -> dict[str, int]:
        """Return the number of partitions of every topic that is not Kafka's own."""
        with answers(self.bootstrap):
            return {
                name: len(topic.partitions)
                for name, topic in self._admin.list_topics(timeout=TIMEOUT_S).topics.items()
                if not name.startswith("__")
            }

    def settings(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return what each topic has set itself, which is where it differs from its broker."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        if not resources:
            return {}
        with answers(self.bootstrap):
            described = self._admin.describe_configs(resources, request_timeout=TIMEOUT_S)
            return {
                resource.name: {
                    name: entry.value
                    for name, entry in sorted(future.result().items())
                    if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value and entry.value is not None
                }
                for resource, future in described.items()
            }

    def bounds(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Bounds]:
        """Return where partitions begin and end."""
        wanted = [TopicPartition(topic, partition) for topic, partition in places]
        if not wanted:
            return {}
        deadline = time.monotonic() + TIMEOUT_S
        with answers(self.bootstrap):
            while True:
                try:
                    begins = self._admin.list_offsets({place: OffsetSpec.earliest() for place in wanted}, request_timeout=TIMEOUT_S)
                    ends = self._admin.list_offsets({place: OffsetSpec.latest() for place in wanted}, request_timeout=TIMEOUT_S)
                    return {
                        (place.topic, place.partition): Bounds(begins[place].result().offset, ends[place].result().offset)
                        for place in wanted
                    }
                except KafkaException as error:  # partitions that were just made have no leader yet
                    if not passes(error.args[0]) or time.monotonic() > deadline:
                        raise
                time.sleep(_POLL_S)

    def members(self, group: str) -> int:
        """Return how many members a consumer group has now."""
        return len(self._members().get(group, ()))

    def readers(self, topics: Iterable[str]) -> list[str]:
        """Return the consumer groups that read some of these topics now, or that have members who do not know yet what they read."""
        wanted = set(topics)
        return sorted(group for group, members in self._members().items() if any(not assigned or assigned & wanted for assigned in members))

    def _members(self) -> dict[str, list[set[str]]]:
        """Return the topics that each member of each consumer group reads."""
        with answers(self.bootstrap):
            listed = [group.group_id for group in self._admin.list_consumer_groups(request_timeout=TIMEOUT_S).result().valid]
            if not listed:  # nor would there be a coordinator to ask about groups
                return {}
            asked = self._admin.describe_consumer_groups(listed, request_timeout=TIMEOUT_S)
            return {
                name: [{place.topic for place in member.assignment.topic_partitions} for member in future.result().members]
                for name, future in asked.items()
            }

    def delete_before(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Delete the records of partitions before an offset of each, which becomes their first."""
        with answers(self.bootstrap):
            limits = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
            for done in self._admin.delete_records(limits, request_timeout=TIMEOUT_S).values():
                done.result()

    def delete(self, topics: Sequence[str]) -> None:
        """Delete topics, with what is in them."""
        if topics:
            with answers(self.bootstrap):
                for future in self._admin.delete_topics(list(topics), operation_timeout=TIMEOUT_S, request_timeout=TIMEOUT_S).values():
                    future.result()

    def alter(self, changes: Mapping[str, Mapping[str, str | None]]) -> None:
        """Set what topics have set themselves; None takes a setting back to the broker's."""
        if not changes:
            return
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                topic,
                incremental_configs=[
                    ConfigEntry(
                        name, value or "", incremental_operation=AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
                    )
                    for name, value in config.items()
                ],
            )
            for topic, config in changes.items()
        ]
        with answers(self.bootstrap):
            for done in self._admin.incremental_alter_configs(resources, request_timeout=TIMEOUT_S).values():
                done.result()


@contextmanager
def answers(bootstrap: str) -> Iterator[None]:
    """Turn what Kafka refuses or does not answer within the block into a RetryError."""
    try:
        yield
    except KafkaException as error:
        raise RetryError(f"Kafka at {bootstrap} does not answer as it should: {error}", REMEDY) from error
