from __future__ import annotations

import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.topology import TOPICS, Topic
from quantum.errors import ConfigurationError, CorruptRecordError, UnknownSchemaError
from schemas.codec import HEADER_SIZE, RecordCodec, schema_text
from schemas.common import Side
from schemas.market.records import MarketQuote, MarketTick
from tests.unit.records import records


class Ids:
    """A registry's answers, kept in memory: what the codec asks of it."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}

    def register(self, text: str) -> int:
        for known, other in self.texts.items():
            if other == text:
                return known
        self.texts[len(self.texts) + 1] = text
        return len(self.texts)

    def id_of(self, subject: str, schema: str) -> int:
        if schema not in self.texts.values():
            raise ConfigurationError(f"{subject} does not have the schema")
        return self.register(schema)

    def schema_of(self, schema_id: int) -> str:
        if schema_id not in self.texts:
            raise UnknownSchemaError(f"no schema {schema_id}")
        return self.texts[schema_id]


def codec_of(topic: Topic) -> RecordCodec[Any]:
    ids = Ids()
    ids.register(schema_text(topic.record))
    return RecordCodec(topic.subject, topic.record, ids)


TICK = MarketTick(
    event_id="binance-usdm:BTCUSDT:1", event_ts=1_723_161_256_313_000, ingest_ts=1_723_161_255_088_169, venue="binance-usdm",
    symbol="BTCUSDT", trade_id=1, price=61800.3, quantity=0.006, side=Side.BUY,
)  # fmt: skip


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.name)
def test_every_record_comes_back_as_it_went(topic: Topic) -> None:
    codec = codec_of(topic)

    @settings(max_examples=25, deadline=None)
    @given(records(topic.record))
    def round_trip(record: Any) -> None:
        assert codec.decode(codec.encode(record)) == record

    round_trip()


def test_the_format_is_confluents() -> None:
    data = codec_of(TOPICS["market.tick"]).encode(TICK)
    assert data[0] == 0
    assert int.from_bytes(data[1:HEADER_SIZE], "big") == 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_record_are_corrupt_and_nothing_else(data: bytes) -> None:
    codec = codec_of(TOPICS["market.tick"])
    for candidate in (data, b"\x00\x00\x00\x00\x01" + data):
        try:
            record = codec.decode(candidate)
        except (CorruptRecordError, UnknownSchemaError):
            continue
        assert isinstance(record, MarketTick)


def test_a_truncated_and_a_lengthened_record_are_corrupt() -> None:
    codec = codec_of(TOPICS["market.tick"])
    data = codec.encode(TICK)
    for size in range(len(data)):
        with pytest.raises(CorruptRecordError):
            codec.decode(data[:size])
    with pytest.raises(CorruptRecordError):
        codec.decode(data + b"\x00")


def test_an_unknown_schema_id_is_named() -> None:
    codec = codec_of(TOPICS["market.tick"])
    data = codec.encode(TICK)
    with pytest.raises(UnknownSchemaError, match="4711"):
        codec.decode(b"\x00" + (4711).to_bytes(4, "big") + data[HEADER_SIZE:])


def test_a_record_of_another_topic_is_refused() -> None:
    ids = Ids()
    quotes = RecordCodec("market.quote-value", MarketQuote, ids)
    ids.register(schema_text(MarketTick))
    ticks = RecordCodec("market.tick-value", MarketTick, ids)
    with pytest.raises(UnknownSchemaError, match="MarketTick"):
        quotes.decode(ticks.encode(TICK))


def test_an_unregistered_schema_is_never_registered_by_a_producer() -> None:
    with pytest.raises(ConfigurationError):
        RecordCodec("market.tick-value", MarketTick, Ids()).encode(TICK)


def test_a_newer_writer_with_one_more_field_is_read() -> None:
    ids = Ids()
    ids.register(schema_text(MarketTick))
    newer = json.loads(schema_text(MarketTick))
    newer["fields"].append({"name": "block", "type": "boolean", "default": False, "doc": "Whether it was a block trade."})
    newer_id = ids.register(json.dumps(newer))
    codec = RecordCodec("market.tick-value", MarketTick, ids)
    values = {name: getattr(TICK, name) for name in TICK.__struct_fields__} | {"side": "BUY", "block": True}
    import io

    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(newer), values)
    assert codec.decode(b"\x00" + newer_id.to_bytes(4, "big") + buffer.getvalue()) == TICK
