"""Topics of the broker brought to what is declared."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from connectors.kafka.config import client_config
from quantum.errors import ConfigurationError, RetryError

TIMEOUT_S = 10.0
PREPARE_S = 60.0
_PASSING = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError._WAIT_COORD,
    }
)


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be.

    Attributes
    ----------
    name
        Name of the topic.
    partitions
        Number of partitions; cannot be changed later, because keys would move.
    replication
        Number of replicas.
    config
        Settings of the topic that differ from the broker's.
    """

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the broker and what is declared."""

    topic: str
    what: str


def compare(bootstrap: str, specs: Iterable[TopicSpec]) -> list[Change]:
    """Return what ``apply`` would change.

    Raises
    ------
    ConfigurationError
        A topic has another number of partitions than declared.
    RetryError
        The broker does not answer.
    """
    return [change for change, _ in _differences(_admin(bootstrap), list(specs))]


def apply(bootstrap: str, specs: Iterable[TopicSpec]) -> list[Change]:
    """Create missing topics and set differing settings; returns what was changed. Raises as ``compare`` does."""
    admin = _admin(bootstrap)
    differences = _differences(admin, list(specs))
    missing = [NewTopic(s.name, s.partitions, s.replication, config=dict(s.config)) for change, s in differences if change.what == "create"]
    resources = [
        ConfigResource(
            ResourceType.TOPIC, spec.name,
            incremental_configs=[ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in spec.config.items()],
        )
        for change, spec in differences
        if change.what != "create"
    ]  # fmt: skip
    try:
        if missing:
            for future in admin.create_topics(missing, operation_timeout=TIMEOUT_S, request_timeout=TIMEOUT_S).values():
                future.result()
        if resources:
            for changed in admin.incremental_alter_configs(resources, request_timeout=TIMEOUT_S).values():
                changed.result()
    except KafkaException as error:
        raise RetryError(f"Kafka at {bootstrap} refused a change of topics: {error}", "see whether it answers: quantum status") from error
    return [change for change, _ in differences]


def prepare_coordinators(bootstrap: str) -> None:
    """Make the broker create its own topics of groups and transactions, which takes it seconds the first time.

    Without it the first workers wait for that, all at once. Raises RetryError where the broker does not answer.
    """
    consumer = Consumer(client_config(bootstrap, group_id="quantum-prepare", enable_auto_commit=False))
    producer = Producer(client_config(bootstrap, transactional_id="quantum-prepare"))
    deadline = time.monotonic() + PREPARE_S
    try:
        for call in (
            lambda: consumer.committed([TopicPartition("quantum-prepare", 0)], TIMEOUT_S),
            lambda: producer.init_transactions(TIMEOUT_S),
        ):
            while True:
                try:
                    call()
                    break
                except KafkaException as error:
                    if not passes(error.args[0]) or time.monotonic() > deadline:
                        raise RetryError(f"Kafka at {bootstrap} has no coordinator: {error}", "see its log: quantum status") from error
                time.sleep(0.1)
    finally:
        consumer.close()


def passes(error: KafkaError) -> bool:
    """Return whether an error ends by itself: not every error that does says so of itself by ``retriable``."""
    return error.retriable() or error.code() in _PASSING


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient(client_config(bootstrap))


def _differences(admin: AdminClient, specs: list[TopicSpec]) -> list[tuple[Change, TopicSpec]]:
    try:
        existing = admin.list_topics(timeout=TIMEOUT_S).topics
        present = [spec for spec in specs if spec.name in existing]
        resources = [ConfigResource(ResourceType.TOPIC, spec.name) for spec in present]
        described: dict[Any, Any] = admin.describe_configs(resources, request_timeout=TIMEOUT_S) if resources else {}
        configs = {resource.name: future.result() for resource, future in described.items()}
    except KafkaException as error:
        raise RetryError(f"Kafka does not answer: {error}", "start it with 'quantum up', or set QUANTUM_KAFKA") from error
    out = [(Change(spec.name, "create"), spec) for spec in specs if spec.name not in existing]
    for spec in present:
        partitions = len(existing[spec.name].partitions)
        if partitions != spec.partitions:
            raise ConfigurationError(
                f"topic {spec.name} has {partitions} partitions, declared are {spec.partitions}",
                "set QUANTUM_PARTITIONS to what the topics have, or start with an empty home: keys would change their partition",
            )
        differing = [f"{k}: {configs[spec.name][k].value} -> {v}" for k, v in spec.config.items() if configs[spec.name][k].value != v]
        if differing:
            out.append((Change(spec.name, ", ".join(differing)), spec))
    return out
