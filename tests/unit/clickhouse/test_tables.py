"""Columns from schemas."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.clickhouse import migrate
from connectors.clickhouse.columns import columns, columns_of
from connectors.clickhouse.lane import MAX_ROWS, _runs
from connectors.clickhouse.tables import TableSpec, add_column_sql, create_sql
from infra.clickhouse.generate import specs
from quantum.errors import ConfigurationError
from schemas.execution.records import ExecutionResult
from schemas.governance.records import PolicyAudit
from schemas.market.records import ExchangeNormalized, MarketInstrument, MarketTick
from schemas.risk.records import SizingDecided


def kind(record: type, name: str) -> str:
    return next(column.kind for column in columns(record) if column.name == name)


def test_types() -> None:
    assert kind(MarketTick, "event_ts") == "DateTime64(6, 'UTC')"
    assert kind(MarketTick, "price") == "Float64"
    assert kind(MarketTick, "symbol") == "LowCardinality(String)"
    assert kind(MarketTick, "side") == "LowCardinality(String)"
    assert kind(ExecutionResult, "quantity") == "Decimal(38, 18)"
    assert kind(ExecutionResult, "fill_price") == "Nullable(Decimal(38, 18))"
    assert kind(ExecutionResult, "trade_id") == "Nullable(String)"
    assert kind(PolicyAudit, "changes") == "Map(String, String)"
    assert kind(ExchangeNormalized, "venues").startswith("Array(Tuple(venue LowCardinality(String), mid Float64")
    assert kind(MarketInstrument, "rules").startswith("Tuple(tick_size Decimal(38, 18)")
    assert kind(SizingDecided, "rules").startswith("Tuple(tick_size Nullable(Decimal(38, 18))")


def test_every_column_of_every_table_says_what_it_means() -> None:
    for spec in specs():
        for column in columns(spec.record):
            assert len(column.doc) > 3, (spec.table, column.name)
        sql = create_sql(spec)
        assert sql.startswith(f"CREATE TABLE IF NOT EXISTS quantum.{spec.table}\n")
        assert ("TTL" in sql) == (spec.retention_ms is not None)


@pytest.mark.parametrize(
    ("kind", "default", "sql"),
    [
        ("boolean", True, "Bool DEFAULT true"),
        ("string", "it's", r"String DEFAULT 'it\'s'"),
        ("double", 0.5, "Float64 DEFAULT 0.5"),
        ({"type": "string", "logicalType": "decimal-string"}, "0.1", "Decimal(38, 18) DEFAULT '0.1'"),
        ({"type": "long", "logicalType": "timestamp-micros"}, 7, "DateTime64(6, 'UTC') DEFAULT fromUnixTimestamp64Micro(7, 'UTC')"),
        (["null", "long"], None, "Nullable(Int64) CODEC"),
        ({"type": "array", "items": "string"}, [], "Array(String) COMMENT"),
    ],
)
def test_rows_of_before_read_the_default(kind: object, default: object, sql: str) -> None:
    schema = {"fields": [{"name": "extra", "type": kind, "default": default, "doc": "More."}]}
    assert f"ADD COLUMN IF NOT EXISTS `extra` {sql}" in add_column_sql(TableSpec("a", "a", MarketTick), "extra", schema)


def test_a_default_that_no_column_has_is_refused() -> None:
    kind = {"type": "map", "values": "string"}
    with pytest.raises(ConfigurationError, match="no column can have the default"):
        columns_of({"fields": [{"name": "extra", "type": kind, "default": {"a": "b"}, "doc": "More."}]})


def test_rows_are_ordered_by_symbol_where_there_is_one() -> None:
    assert "ORDER BY (symbol, event_ts, _partition, _offset)" in create_sql(TableSpec("a", "a", MarketTick))
    assert "ORDER BY (account, event_ts, _partition, _offset)" in create_sql(TableSpec("a", "a", PolicyAudit))


def test_statements_of_a_migration_are_told_apart() -> None:
    text = "-- a; b\nCREATE TABLE x (a String COMMENT 'it\\'s; so') ENGINE = Memory;\n\nSELECT ';';  -- end;\n"
    assert list(migrate.Migration(1, "001.sql", text).statements()) == [
        "-- a; b\nCREATE TABLE x (a String COMMENT 'it\\'s; so') ENGINE = Memory",
        "SELECT ';'",
    ]


@settings(deadline=None)  # the first array of a process takes its time
@given(st.lists(st.integers(min_value=1_767_000_000_000, max_value=1_775_000_000_000), max_size=50))
def test_runs_keep_the_order_and_lie_in_one_month(times: list[int]) -> None:
    runs = _runs(milliseconds(times))
    assert [at for run in runs for at in run] == list(range(len(times)))
    months = [{datetime.fromtimestamp(times[at] / 1000, UTC).strftime("%Y%m") for at in run} for run in runs]
    assert all(len(month) == 1 for month in months)
    assert all(one != other for one, other in itertools.pairwise(months)), "a run ends only where its month does"


@pytest.mark.parametrize("length", [1, MAX_ROWS, MAX_ROWS + 1])
def test_runs_are_not_too_long(length: int) -> None:
    runs = _runs(milliseconds([1_767_300_000_000] * length))
    assert [len(run) for run in runs] == ([length] if length <= MAX_ROWS else [MAX_ROWS, length - MAX_ROWS])


def milliseconds(times: list[int]) -> pa.Array:
    return pa.array(times, pa.timestamp("ms", "UTC"))
