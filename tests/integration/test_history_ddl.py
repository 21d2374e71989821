"""The migrations: what they make is what the schemas say, every record fits its table, views run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.clickhouse import migrate
from connectors.clickhouse.columns import columns
from connectors.clickhouse.decode import Decoder
from connectors.clickhouse.store import Store
from connectors.clickhouse.tables import TableSpec, add_column_sql, create_sql
from infra.clickhouse.generate import specs
from quantum.errors import ConfigurationError
from schemas.codec import RecordCodec, schema_text
from schemas.market.records import MarketTick
from schemas.record import Record
from tests.integration.history_process import StoreProcess
from tests.unit.messages import message
from tests.unit.records import records

SPECS = {spec.topic: spec for spec in specs()}
VIEWS = {
    "v_fills": "", "v_lineage": "", "v_lineage_ticks": "(features_id = 'x')", "v_bars": "(seconds = 60)", "v_pnl": "", "v_pnl_daily": "",
    "v_bars_between": "(seconds = 60, since = '2026-01-01', until = '2026-01-02')",
    "v_denials": "", "v_positions": "", "v_slippage": "", "v_spread": "(seconds = 60)", "v_pnl_by_day": "", "v_orders": "",
    "v_order_outcomes": "", "v_verdicts": "", "v_lineage_bar": "", "v_predictions": "(threshold = 0.1)",
    "v_calibration": "(threshold = 0.1)", "v_model_quality": "(threshold = 0.1)", "v_equity": "(seconds = 60)",
    "v_exposure": "(seconds = 60)", "v_funding": "", "v_funding_cost": "", "v_latency": "", "v_latency_steps": "",
}  # fmt: skip


class OneSchema:
    """Ids of one schema: what a registry says of a topic whose schema never changed."""

    def __init__(self, spec: TableSpec) -> None:
        self._text = schema_text(spec.record)

    def id_of(self, subject: str, schema: str) -> int:
        assert schema == self._text, subject
        return 7

    def schema_of(self, schema_id: int) -> str:
        assert schema_id == 7
        return self._text


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = StoreProcess(tmp_path_factory.mktemp("store")).start()
    opened = store.client()
    migrate.apply(opened)
    yield opened
    opened.close()
    store.stop()


def test_migrations_are_applied_once(client: Client) -> None:
    assert migrate.apply(client) == []
    assert client.command("SELECT count() FROM quantum.schema_migrations") == len(migrate.migrations())


def test_a_changed_or_missing_migration_is_refused(client: Client, tmp_path: Path) -> None:
    for migration in migrate.migrations():
        (tmp_path / migration.name).write_text(migration.text)
    assert migrate.apply(client, tmp_path) == []
    (tmp_path / migrate.migrations()[0].name).write_text("SELECT 1")
    with pytest.raises(ConfigurationError, match="changed since"):
        migrate.apply(client, tmp_path)
    (tmp_path / migrate.migrations()[0].name).unlink()
    with pytest.raises(ConfigurationError, match="lacks"):
        migrate.apply(client, tmp_path)
    (tmp_path / "nonumber.sql").write_text("")
    with pytest.raises(ConfigurationError, match="no number"):
        migrate.migrations(tmp_path)


@pytest.mark.parametrize("topic", SPECS)
def test_a_table_is_what_its_schema_says(client: Client, topic: str) -> None:
    spec = SPECS[topic]
    found = client.query(
        "SELECT name, type, comment FROM system.columns WHERE database = 'quantum' AND table = {t:String} ORDER BY position",
        {"t": spec.table},
    )
    assert [tuple(row) for row in found.result_rows] == [(column.name, column.kind, column.doc) for column in columns(spec.record)], (
        "the tables are behind the schemas: add a migration (python -m infra.clickhouse.evolve --write NAME)"
    )
    assert all(row[2] for row in found.result_rows), "every column says what it means"
    comment, engine, partition_key = client.query(
        "SELECT comment, engine_full, partition_key FROM system.tables WHERE database = 'quantum' AND name = {t:String}", {"t": spec.table}
    ).result_rows[0]
    assert comment
    assert partition_key == "toYYYYMM(_timestamp)"
    assert ("TTL" in engine) == (spec.retention_ms is not None)


@pytest.mark.parametrize("topic", SPECS)
def test_every_record_fits_its_table(client: Client, topic: str) -> None:
    spec = dataclasses.replace(SPECS[topic], table=f"fit_{SPECS[topic].table}", retention_ms=None)
    client.command(create_sql(spec))
    ids = OneSchema(spec)
    codec = RecordCodec(f"{topic}-value", spec.record, ids)
    decoder = Decoder(spec, ids)
    store = Store(lambda: client)

    @settings(max_examples=3, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.lists(records(spec.record), min_size=1, max_size=20))
    def fits(sample: list[Record]) -> None:
        client.command(f"TRUNCATE TABLE {spec.name}")
        headers: list[tuple[str, str | bytes | None]] = [("traceparent", b"00-1")]
        decoded = decoder.decode([message(codec.encode(record), at, 1, headers=headers) for at, record in enumerate(sample)])
        assert (len(decoded.kept), decoded.rejected) == (len(sample), [])
        store.append(spec, decoded.batch, f"{id(sample)}")
        assert store.ends(spec, [1, 2]) == {1: len(sample) - 1, 2: -1}
        got = client.query(f"SELECT event_id, _traceparent FROM {spec.name} ORDER BY _offset").result_rows
        assert [row[0] for row in got] == [record.event_id for record in sample]
        assert {row[1] for row in got} == {"00-1"}

    fits()


@pytest.mark.parametrize("view", VIEWS)
def test_views_run(client: Client, view: str) -> None:
    assert client.query(f"SELECT * FROM quantum.{view}{VIEWS[view]}").row_count == 0
    assert client.command(f"SELECT comment != '' FROM system.tables WHERE database = 'quantum' AND name = '{view}'") == 1


def test_bars_from_ticks(client: Client) -> None:
    start = 1_767_225_600
    ticks = [(0.0, 100.0, 1.0, "BUY"), (10.0, 105.0, 2.0, "SELL"), (59.999999, 99.0, 3.0, "BUY"), (60.0, 101.0, 1.0, "SELL")]
    ticks.append((120.25, 102.0, 1.0, "BUY"))  # the grace past the end of the second bar: it is closed
    lines = [
        f"t{i},{start + at:.6f},v,BARS,{i},{price},{size},{side},0,{i},{int(time.time())}"
        for i, (at, price, size, side) in enumerate(ticks)
    ]
    names = ["event_id", "event_ts", "venue", "symbol", "trade_id", "price", "quantity", "side", "_partition", "_offset", "_timestamp"]
    client.raw_insert("quantum.market_tick", names, "\n".join(lines), fmt="CSV")
    fields = "open, high, low, close, volume, trades, taker_buy_volume"
    bars = client.query(f"SELECT {fields} FROM quantum.v_bars(seconds = 60) WHERE symbol = 'BARS' ORDER BY open_ts")
    assert bars.result_rows == [(100.0, 105.0, 99.0, 99.0, 6.0, 3, 4.0), (101.0, 101.0, 101.0, 101.0, 1.0, 1, 0.0)]


def test_a_column_is_added_where_the_schema_has_it(client: Client) -> None:
    spec = TableSpec("x", "older", MarketTick)
    client.command(create_sql(spec))
    client.command("ALTER TABLE quantum.older DROP COLUMN quantity")
    client.command(add_column_sql(spec, "quantity"))
    names = [row[0] for row in client.query("SELECT name FROM system.columns WHERE table = 'older' ORDER BY position").result_rows]
    assert names == [column.name for column in columns(MarketTick)]
    with pytest.raises(ConfigurationError, match="no field"):
        add_column_sql(spec, "nope")
