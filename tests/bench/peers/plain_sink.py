"""The sink's task as one would write it with the libraries alone; a restart of it would lose or double rows."""

from __future__ import annotations

import time
from typing import Any

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from connectors.clickhouse.columns import columns
from connectors.clickhouse.lane import MAX_ROWS
from connectors.clickhouse.tables import TableSpec
from connectors.kafka.config import client_config
from quantum.home import Endpoints
from schemas.codec import schema_text

FIRST_OFFSET = 0


def carry(endpoints: Endpoints, client: Client, topic: str, spec: TableSpec, count: int) -> float:
    """Return the seconds in which the first ``count`` records of a topic become rows of a table."""
    registry = SchemaRegistryClient({"url": endpoints.registry})
    deserializer = AvroDeserializer(registry, schema_text(spec.record))
    context = SerializationContext(topic, MessageField.VALUE)
    names = [column.name for column in columns(spec.record)]
    consumer = Consumer(
        client_config(endpoints.kafka, group_id=f"{spec.topic}-plain", enable_auto_commit=False, isolation_level="read_committed")
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, FIRST_OFFSET) for number in partitions])
    rows: list[list[Any]] = []
    carried = 0
    started = time.perf_counter()
    while carried < count:
        for message in consumer.consume(MAX_ROWS - len(rows), 0.1):
            values: Any = deserializer(message.value(), context)
            values |= _place(message)
            rows.append([values[name] for name in names])
        if len(rows) >= MAX_ROWS or carried + len(rows) >= count:
            client.insert(spec.name, rows, names, settings={"async_insert": 0})
            carried += len(rows)
            rows = []
    taken = time.perf_counter() - started
    consumer.close()
    registry.close()
    return taken


def _place(message: Message) -> dict[str, Any]:
    headers = dict(message.headers() or ())
    trace, cause = headers.get("traceparent"), headers.get("causation_id")
    if message.error() is not None or not isinstance(trace, bytes) or not isinstance(cause, bytes):
        raise RuntimeError(f"this loop handles no trouble: {message.error()}")
    return {
        "_partition": message.partition(), "_offset": message.offset(), "_timestamp": message.timestamp()[1],
        "_traceparent": trace.decode(), "_causation_id": cause.decode(),
    }  # fmt: skip
