"""Records to bytes and back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import fastavro
import msgspec
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from connectors.registry.client import Registry
from schemas.codec import HEADER_SIZE, RecordCodec, parse, schema_text
from schemas.market.records import MarketTick
from tests.bench.figure import Figure, best_rates
from tests.bench.servers import Bench
from tests.bench.ticks import ticks

COUNT = 20_000


def codec(bench: Bench) -> Iterator[Figure]:
    """Measure encoding and decoding of ``market.tick`` beside Confluent's serializers and fastavro alone."""
    url = bench.endpoints().registry
    topic = bench.unique()
    registry = Registry(url)
    registry.register(f"{topic}-value", schema_text(MarketTick))
    own = RecordCodec(f"{topic}-value", MarketTick, registry)
    records = list(ticks(COUNT))
    encoded = [own.encode(record) for record in records]

    client = SchemaRegistryClient({"url": url})
    names = {"subject.name.strategy.type": "TOPIC"}
    serializer = AvroSerializer(client, schema_text(MarketTick), _to_dict, {"auto.register.schemas": False, **names})
    deserializer = AvroDeserializer(client, schema_text(MarketTick), conf=names)
    context = SerializationContext(topic, MessageField.VALUE)
    if serializer(records[0], context) != encoded[0]:
        raise AssertionError("the peers do not write the same bytes")

    schema = parse(schema_text(MarketTick))
    plain = [msgspec.to_builtins(record) for record in records]

    rates = best_rates(
        COUNT,
        {
            "own": lambda: [own.encode(record) for record in records],
            "confluent": lambda: [serializer(record, context) for record in records],
            "fastavro": lambda: [_write(schema, value) for value in plain],
        },
    )
    yield Figure(
        name="codec: encode market.tick",
        unit="records/s",
        value=rates["own"],
        peers={"confluent-kafka AvroSerializer": rates["confluent"], "bare fastavro": rates["fastavro"]},
        note="record to wire bytes; bare fastavro starts from a dict and writes no header",
    )
    rates = best_rates(
        COUNT,
        {
            "own": lambda: [own.decode(data) for data in encoded],
            "confluent": lambda: [deserializer(data, context) for data in encoded],
            "fastavro": lambda: [_read(schema, data) for data in encoded],
        },
    )
    yield Figure(
        name="codec: decode market.tick",
        unit="records/s",
        value=rates["own"],
        peers={"confluent-kafka AvroDeserializer": rates["confluent"], "bare fastavro": rates["fastavro"]},
        note="wire bytes to record; the peers end with a dict, AvroDeserializer's with datetimes in it",
    )
    registry.close()
    client.close()


def _to_dict(record: Any, _context: SerializationContext) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(record)
    return values


def _write(schema: Any, value: Any) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, value)
    return buffer.getvalue()


def _read(schema: Any, data: bytes) -> object:
    buffer = io.BytesIO(data)
    buffer.seek(HEADER_SIZE)
    return fastavro.schemaless_reader(buffer, schema, None)
