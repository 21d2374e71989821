"""Topics that must be there before a worker begins."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from quantum.errors import ConfigurationError, DependencyError, RetryError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Needed:
    """A topic that the application needs.

    Attributes
    ----------
    partitions
        How many it must have or is created with; 0 where it must exist already.
    like
        Name of the topic whose number of partitions it takes where ``partitions`` is 0.
    replicas
        How many replicas it is created with; 0 for the application's number.
    """

    name: str
    partitions: int = 0
    like: str = ""
    replicas: int = 0
    config: tuple[tuple[str, str], ...] = ()


class Cluster:
    """The cluster's topics.

    Parameters
    ----------
    config
        librdkafka's settings of the cluster.
    replicas
        Replicas of topics that are created.
    create
        Whether topics that are missing may be created.
    """

    def __init__(self, config: Mapping[str, Any], replicas: int, create: bool, stopping: Callable[[], bool]) -> None:
        self._admin = AdminClient(dict(config))
        self._replicas = replicas
        self._create = create
        self._stopping = stopping

    def partitions(self) -> dict[str, int]:
        """Return the number of partitions of every topic; waits for a broker.

        Raises
        ------
        RetryError
            The worker wants to stop and the broker is still away.
        """
        while True:
            try:
                topics = self._admin.list_topics(timeout=5).topics
                return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}
            except KafkaException as raised:
                if self._stopping():
                    raise RetryError(f"Kafka does not answer: {raised.args[0].str()}", "start the broker") from raised
                log.warning("no broker yet: %s", raised.args[0].str())
                time.sleep(0.2)

    def ensure(self, needed: list[Needed]) -> dict[str, int]:
        """Check that topics exist, create those that may be created, and return all topics' numbers of partitions.

        Raises
        ------
        ConfigurationError
            A topic is missing and must not, or cannot, be created.
        """
        found = self.partitions()
        missing = [each for each in needed if each.name not in found]
        if not missing:
            return found
        unknown = [each.name for each in missing if not self._create or not (each.partitions or found.get(each.like))]
        if unknown:
            raise ConfigurationError(
                f"these topics do not exist: {', '.join(unknown)}",
                "create them; or give the topics partitions=... and leave topic_allow_declare at True, so that the worker does",
            )
        made = [
            NewTopic(each.name, each.partitions or found[each.like], each.replicas or self._replicas, config=dict(each.config))
            for each in missing
        ]
        for name, future in self._admin.create_topics(made).items():
            try:
                future.result()
                log.info("created topic %s", name)
            except KafkaException as raised:
                if raised.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise DependencyError(f"topic {name} cannot be created: {raised.args[0].str()}", "create it by hand") from raised
        deadline = time.monotonic() + 10
        while any(each.name not in found for each in missing):
            if time.monotonic() > deadline:
                raise DependencyError(
                    f"created topics do not appear: {[each.name for each in missing if each.name not in found]}", "look at the broker's log"
                )
            time.sleep(0.02)
            found = self.partitions()
        return found
