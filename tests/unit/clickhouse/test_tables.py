"""Columns from schemas."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.clickhouse import migrate
from connectors.clickhouse.decode import Raw
from connectors.clickhouse.lane import MAX_ROWS, _runs
from connectors.clickhouse.tables import TableSpec, columns, create_sql
from infra.clickhouse.generate import specs
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


def test_rows_are_ordered_by_symbol_where_there_is_one() -> None:
    assert "ORDER BY (symbol, event_ts, _partition, _offset)" in create_sql(TableSpec("a", "a", MarketTick))
    assert "ORDER BY (account, event_ts, _partition, _offset)" in create_sql(TableSpec("a", "a", PolicyAudit))


def test_statements_of_a_migration_are_told_apart() -> None:
    text = "-- a; b\nCREATE TABLE x (a String COMMENT 'it\\'s; so') ENGINE = Memory;\n\nSELECT ';';  -- end;\n"
    assert list(migrate.Migration(1, "001.sql", text).statements()) == [
        "-- a; b\nCREATE TABLE x (a String COMMENT 'it\\'s; so') ENGINE = Memory",
        "SELECT ';'",
    ]


@given(st.lists(st.integers(min_value=1_767_000_000_000, max_value=1_775_000_000_000), max_size=50))
def test_runs_keep_the_order_and_lie_in_one_month(times: list[int]) -> None:
    raws = [Raw(0, offset, at, None, b"", ()) for offset, at in enumerate(times)]
    runs = _runs(raws)
    assert [raw for run in runs for raw in run] == raws
    for run in runs:
        assert len({datetime.fromtimestamp(raw.timestamp_ms / 1000, UTC).strftime("%Y%m") for raw in run}) == 1


@pytest.mark.parametrize("length", [1, MAX_ROWS, MAX_ROWS + 1])
def test_runs_are_not_too_long(length: int) -> None:
    runs = _runs([Raw(0, offset, 1_767_300_000_000, None, b"", ()) for offset in range(length)])
    assert [len(run) for run in runs] == ([length] if length <= MAX_ROWS else [MAX_ROWS, length - MAX_ROWS])
