"""What the processes outside the stages share: publishers and readers of the topology's topics."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka.config import client_config
from connectors.kafka.publisher import Publisher, Route
from connectors.registry.client import Registry
from processors.topology import NODES, TOPICS, Topic
from quantum.errors import RetryError
from quantum.partition import partition_of
from quantum.settings import Settings
from schemas.codec import RecordCodec, SchemaIds, schema_text
from schemas.record import Record

log = logging.getLogger(__name__)

READ_TIMEOUT_S = 10.0


def key_partition(topic: Topic, key: str, partitions: int) -> int:
    """Return the partition of a key: by the part of it that ``partition_by`` names, or by all of it."""
    if topic.partition_by:
        key = key.split(":")[topic.key.split(":").index(topic.partition_by)]
    return partition_of(key, partitions)


def partitions_of(topic: Topic, partitions: int, key: str) -> tuple[int, ...]:
    """Return the partitions that a record of a key is written to: all where the topic is broadcast."""
    return tuple(range(partitions)) if topic.broadcast else (key_partition(topic, key, partitions),)


def routes(settings: Settings, ids: SchemaIds, node: str) -> dict[str, Route]:
    """Return how a node writes the topics that the topology lets it write."""
    return {
        name: Route(
            name, RecordCodec(TOPICS[name].subject, TOPICS[name].record, ids), partial(partitions_of, TOPICS[name], settings.partitions)
        )
        for name in NODES[node].writes
    }


def registry(settings: Settings) -> Registry:
    """Return the schema registry, whose answers are kept in the home for when it is away."""
    return Registry(settings.registry, settings.folders.schemas)


def learn_schemas(ids: SchemaIds, node: str) -> None:
    """Have the registry asked now for every schema that a node reads or writes, so that it is not missed when it goes away later.

    Where it is away already the node starts with what is kept, and waits where it meets what is not.

    Raises
    ------
    ConfigurationError
        A schema is not registered.
    """
    for name in (*NODES[node].reads, *NODES[node].writes):
        try:
            ids.schema_of(ids.id_of(TOPICS[name].subject, schema_text(TOPICS[name].record)))
        except RetryError as away:
            log.warning("%s starts without the schema of %s: %s", node, name, away)


def node_publisher(settings: Settings, *nodes: str) -> Publisher:
    """Return a publisher of what some nodes may write, which knows their schemas already."""
    ids = registry(settings)
    for node in nodes:
        learn_schemas(ids, node)
    found = {name: route for node in nodes for name, route in routes(settings, ids, node).items()}
    return Publisher(settings.kafka, found, min(NODES[node].linger_ms for node in nodes))


@contextmanager
def publisher(settings: Settings, node: str) -> Iterator[Publisher]:
    """Give a publisher of a node's topics; what was sent is stored when the block ends without an error."""
    with registry(settings) as ids:
        out = Publisher(settings.kafka, routes(settings, ids, node), NODES[node].linger_ms)
        yield out
        out.close()


def codecs(ids: SchemaIds, topics: tuple[str, ...]) -> dict[str, RecordCodec[Any]]:
    """Return the codec of each topic."""
    return {name: RecordCodec(TOPICS[name].subject, TOPICS[name].record, ids) for name in topics}


def read_all(settings: Settings, topic: str) -> Iterator[tuple[Message, Record]]:
    """Give every committed record of a topic from its beginning to its present end; of a broadcast topic one partition's.

    Raises
    ------
    RetryError
        The broker does not answer within ten seconds.
    """
    spec = TOPICS[topic]
    wanted = 1 if spec.broadcast else settings.partitions
    with registry(settings) as ids:
        codec: RecordCodec[Any] = RecordCodec(spec.subject, spec.record, ids)
        for message in read_messages(settings.kafka, topic, wanted):
            value = message.value()
            if value is not None:
                yield message, codec.decode(value)


def read_messages(bootstrap: str, topic: str, partitions: int) -> Iterator[Message]:
    """Give every committed message of a topic's first partitions, as ``read_all`` does, undecoded."""
    return read_from(bootstrap, {(topic, partition): OFFSET_BEGINNING for partition in range(partitions)})


def read_from(bootstrap: str, starts: Mapping[tuple[str, int], int]) -> Iterator[Message]:
    """Give every committed message of some partitions from an offset of each to its present end.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    starts
        First offset by topic and partition.

    Raises
    ------
    RetryError
        The broker does not answer within ten seconds.
    """
    consumer = Consumer(
        client_config(
            bootstrap,
            group_id="quantum-reader",
            enable_auto_commit=False,
            isolation_level="read_committed",
            enable_partition_eof=True,
            fetch_wait_max_ms=20,
        )
    )
    try:
        consumer.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in starts.items()])
        unread = set(starts)
        while unread:
            first = consumer.poll(READ_TIMEOUT_S)
            if first is None:
                raise RetryError(f"{unread} could not be read to their ends: Kafka at {bootstrap} does not answer", "quantum status")
            for message in (first, *consumer.consume(10_000, 0)):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard((message.topic() or "", message.partition() or 0))
                else:
                    raise RetryError(f"{message.topic()} could not be read: {error}", "quantum status")
    except KafkaException as error:
        raise RetryError(f"{sorted(starts)} could not be read: {error}", "quantum status") from error
    finally:
        consumer.close()


def newest(settings: Settings, topic: str) -> Mapping[str, Record]:
    """Return the newest record of every key of a topic."""
    return {(message.key() or b"").decode(): record for message, record in read_all(settings, topic)}


def latest(settings: Settings, topic: str, key: str) -> Record | None:
    """Return the newest record of a key, or None where there is none."""
    return newest(settings, topic).get(key)
