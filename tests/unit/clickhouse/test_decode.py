"""Records to rows: whole blocks and one by one give the same, and what is no row is told from what is."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.clickhouse.bulk import BulkReader
from connectors.clickhouse.columns import BOOKKEEPING, columns
from connectors.clickhouse.decode import Decoded, Decoder, TableBehindError
from connectors.clickhouse.records import offset_of
from connectors.clickhouse.tables import TableSpec
from infra.clickhouse.generate import specs
from quantum.errors import UnknownSchemaError
from schemas.codec import RecordCodec, parse, schema_text
from schemas.governance.records import PolicyAudit
from schemas.market.records import MarketTick
from schemas.record import Record
from schemas.risk.records import TradeIntent
from tests.unit.messages import message
from tests.unit.records import records
from tests.unit.test_codec import TICK

SPECS = {spec.topic: spec for spec in specs()}
ONE_BY_ONE_ONLY = {"model.training", "policy.audit"}
"""Topics whose records have a map."""
TICKS = TableSpec("market.tick", "market_tick", MarketTick)
FIELDS = columns(MarketTick)[: -len(BOOKKEEPING)]
HEADERS = st.one_of(
    st.none(),
    st.lists(
        st.tuples(st.sampled_from(["traceparent", "causation_id", "other"]), st.one_of(st.none(), st.binary(max_size=4), st.just(b"00-1"))),
        max_size=3,
    ),
    st.just([("traceparent", b"00-1"), ("causation_id", b"e1")]),
)


class Schemas:
    """A registry of some schemas."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def id_of(self, subject: str, schema: str) -> int:
        return self.texts.index(schema)

    def schema_of(self, schema_id: int) -> str:
        if schema_id >= len(self.texts):
            raise UnknownSchemaError(f"schema id {schema_id} is not there")
        return self.texts[schema_id]


def both(spec: TableSpec, ids: Schemas, messages: list[Any], *more: str) -> tuple[Decoded, Decoded]:
    """Decode both ways, for a table that may have more columns than the code knows."""

    def table(of: TableSpec) -> list[str]:
        return [*more, *(column.name for column in columns(of.record))]

    return Decoder(spec, ids, table).decode(messages), Decoder(spec, ids, table, in_bulk=False).decode(messages)


def same(one: Decoded, other: Decoded) -> None:
    assert [offset_of(record) for record in one.kept] == [offset_of(record) for record in other.kept]
    assert [(offset_of(letter.record), letter.kind) for letter in one.rejected] == [
        (offset_of(letter.record), letter.kind) for letter in other.rejected
    ]
    if one.batch is None or other.batch is None:
        assert one.batch is None
        assert other.batch is None
        return
    assert one.batch.schema.equals(other.batch.schema, check_metadata=True)
    for name in one.batch.schema.names:
        assert one.batch[name].equals(other.batch[name]) or bits(one.batch[name]) == bits(other.batch[name]), name
    one.batch.validate(full=True)


def bits(array: pa.Array) -> list[Any]:
    """Return what a column holds; a NaN is equal to itself."""
    return [repr(item) for item in array.to_pylist()]


def in_bulk(spec: TableSpec) -> BulkReader:
    schema = parse(schema_text(spec.record))
    made = columns(spec.record)
    return BulkReader(made[: len(made) - len(BOOKKEEPING)], schema, schema)


@pytest.mark.parametrize("topic", SPECS)
def test_records_of_every_topic_are_read_alike_in_bulk_and_one_by_one(topic: str) -> None:
    spec = SPECS[topic]
    ids = Schemas(schema_text(spec.record))
    codec = RecordCodec(f"{topic}-value", spec.record, ids)
    if topic in ONE_BY_ONE_ONLY:
        with pytest.raises(NotImplementedError, match="map"):
            in_bulk(spec)

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(records(spec.record), HEADERS), min_size=1, max_size=12))
    def alike(sample: list[Any]) -> None:
        messages = [message(codec.encode(record), at, 3, headers=headers) for at, (record, headers) in enumerate(sample)]
        if topic not in ONE_BY_ONE_ONLY:
            assert in_bulk(spec).read([each.value() for each in messages]) is not None, "all of it goes the fast way"
        one, other = both(spec, ids, messages)
        same(one, other)
        assert (len(one.kept), one.rejected) == (len(sample), [])
        assert one.batch is not None
        assert one.batch["event_id"].to_pylist() == [record.event_id for record, _ in sample]

    alike()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_bytes_that_are_no_records_are_told_from_those_that_are(data: st.DataObject) -> None:
    topic = data.draw(st.sampled_from(["market.tick", "exchange.normalized", "sizing.decided", "policy.audit"]))
    spec = SPECS[topic]
    ids = Schemas(schema_text(MarketTick), schema_text(PolicyAudit), schema_text(spec.record))
    codec = RecordCodec(f"{topic}-value", spec.record, Schemas("", "", schema_text(spec.record)))
    spoilt = []
    for record in data.draw(st.lists(records(spec.record), min_size=1, max_size=8)):
        value = codec.encode(record)
        cut, at = data.draw(st.integers(0, len(value))), data.draw(st.integers(0, len(value) - 1))
        flipped = value[:at] + bytes([value[at] ^ (1 << data.draw(st.integers(0, 7)))]) + value[at + 1 :]
        spoilt.append(data.draw(st.sampled_from([value, value, value, value[:cut], value + b"\0", value + value, flipped, None, b""])))
    one, other = both(spec, ids, [message(value, at) for at, value in enumerate(spoilt)])
    same(one, other)
    assert len(one.kept) + len(one.rejected) == sum(value is not None for value in spoilt)


def test_one_bad_record_among_many_is_given_up_alone() -> None:
    ids = Schemas(schema_text(MarketTick))
    value = RecordCodec("market.tick-value", MarketTick, ids).encode(TICK)
    values: list[bytes | None] = [value] * 3_000
    values[1_700], values[2_999] = value + b"\0", None
    one, other = both(TICKS, ids, [message(each, at) for at, each in enumerate(values)])
    same(one, other)
    assert [offset_of(letter.record) for letter in one.rejected] == [1_700]
    assert one.batch is not None
    assert one.batch["_offset"].to_pylist() == [at for at in range(2_999) if at != 1_700]


def written(record: Record, text: str, schema_id: int) -> bytes:
    """Return a record as a writer of another schema writes it."""
    buffer = io.BytesIO()
    buffer.write(b"\0" + schema_id.to_bytes(4, "big"))
    fastavro.schemaless_writer(buffer, parse(text), msgspec.to_builtins(record))
    return buffer.getvalue()


def changed(**changes: dict[str, Any] | None) -> str:
    """Return the tick's schema without a field, or with another one in its place."""
    schema = json.loads(schema_text(MarketTick))
    fields = {**{field["name"]: field for field in schema["fields"]}, **changes}
    return json.dumps({**schema, "fields": [{"doc": "One of another time.", **field} for field in fields.values() if field is not None]})


@settings(max_examples=20, deadline=None)
@given(st.lists(records(TradeIntent), min_size=2, max_size=6))
def test_writers_before_and_after_a_new_field_side_by_side(sample: list[TradeIntent]) -> None:
    now = schema_text(TradeIntent)
    schema = json.loads(now)
    late = next(field["name"] for field in schema["fields"] if field.get("default", "") is None)
    before = json.dumps({**schema, "fields": [field for field in schema["fields"] if field["name"] != late]})
    ids = Schemas(now, before)
    messages = [message(written(record, [now, before][at % 2], at % 2), at) for at, record in enumerate(sample)]
    one, other = both(SPECS["trade.intent"], ids, messages)
    same(one, other)
    assert one.rejected == []
    assert one.batch is not None
    assert one.batch[late].to_pylist()[1::2] == [None] * (len(sample) // 2)
    assert one.batch["event_id"].to_pylist() == [record.event_id for record in sample]


def test_a_field_without_a_column_makes_its_records_wait() -> None:
    later = changed(liquidation={"name": "liquidation", "type": "boolean", "default": False})
    ids = Schemas(schema_text(MarketTick), later)
    with pytest.raises(TableBehindError, match="no column for liquidation"):
        Decoder(TICKS, ids).decode([message(written(TICK, later, 1))])


def test_a_field_that_the_writer_lacks_reads_its_default() -> None:
    before, now = changed(trade_id=None), changed(trade_id={"name": "trade_id", "type": "long", "default": 7})
    arrays = BulkReader(FIELDS, parse(before), parse(now)).read([written(TICK, before, 0)])
    assert arrays is not None
    assert {column.name: array.to_pylist()[0] for column, array in zip(FIELDS, arrays, strict=True)}["trade_id"] == 7
    with pytest.raises(NotImplementedError, match="trade_id"):  # without a default fastavro refuses each of them
        BulkReader(FIELDS, parse(before), parse(schema_text(MarketTick)))
