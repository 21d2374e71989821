"""clickhouse-connect against the local store, as against a server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd  # type: ignore[import-untyped]  # its stubs are a package of their own
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from tests.integration.history_process import StoreProcess

MANY = 250_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    started = StoreProcess(tmp_path_factory.mktemp("store")).start()
    yield started
    started.stop()


@pytest.fixture
def client(store: StoreProcess) -> Iterator[Client]:
    opened = store.client()
    yield opened
    opened.close()


@pytest.fixture
def table(client: Client) -> Iterator[str]:
    client.command("DROP TABLE IF EXISTS kinds")
    client.command(
        """CREATE TABLE kinds (id UInt64, name LowCardinality(String), price Float64, size Decimal(38, 18), at DateTime64(6, 'UTC'),
           maybe Nullable(Float64), tags Array(String), attributes Map(String, Float64)) ENGINE = MergeTree ORDER BY id"""
    )
    yield "kinds"
    client.command("DROP TABLE kinds")


ROW = [7, "BTCUSDT", 1.5, Decimal("0.000000000000000001"), datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), None, ["a", "b"], {"x": 1.0}]


def test_rows_go_in_and_come_out(client: Client, table: str) -> None:
    summary = client.insert(table, [ROW, [8, *ROW[1:]]])
    assert summary.written_rows == 2
    answer = client.query(f"SELECT * FROM {table} ORDER BY id", column_formats={"at": "int"})
    assert answer.column_names == ("id", "name", "price", "size", "at", "maybe", "tags", "attributes")
    row = answer.result_rows[0]
    assert row[:4] == (7, "BTCUSDT", 1.5, Decimal("0.000000000000000001"))
    assert row[5:] == (None, ["a", "b"], {"x": 1.0})
    assert answer.row_count == 2


def test_parameters(client: Client) -> None:
    answer = client.query(
        "SELECT {text:String}, {list:Array(Int32)}, {at:DateTime}",
        {"text": "it's\ta", "list": [1, 2], "at": datetime(2026, 1, 1, tzinfo=UTC)},
    )
    assert answer.result_rows[0][:2] == ("it's\ta", [1, 2])
    assert client.query("SELECT %(x)s", {"x": "a'b"}).result_rows[0] == ("a'b",)
    long = "x" * 100_000
    assert client.query("SELECT length({text:String})", {"text": long}, settings={"max_query_size": 1_000_000}).result_rows[0] == (100_000,)


def test_commands(client: Client) -> None:
    assert client.command("SELECT 5") == 5
    assert client.command("EXISTS TABLE system.one") == 1
    assert client.database == "quantum"
    assert client.command("SELECT currentDatabase()") == "quantum"
    assert client.ping()


def test_frames_and_arrow(client: Client, table: str) -> None:
    frame = pd.DataFrame({"id": range(MANY), "name": ["a", "b"] * (MANY // 2), "price": [0.5] * MANY})
    client.insert_df(table, frame)
    assert client.query_df(f"SELECT sum(id) AS s, count() AS n FROM {table}").to_dict("records") == [
        {"s": MANY * (MANY - 1) // 2, "n": MANY}
    ]
    arrow = client.query_arrow(f"SELECT id, price FROM {table} ORDER BY id LIMIT 3")
    assert arrow.to_pydict() == {"id": [0, 1, 2], "price": [0.5, 0.5, 0.5]}
    client.insert_arrow(table, pa.table({"id": pa.array([MANY], pa.uint64()), "price": [2.0]}))
    assert client.command(f"SELECT price FROM {table} WHERE id = {MANY}") == 2
    assert client.query_df_arrow(f"SELECT count() AS n FROM {table}", dataframe_library="pandas")["n"][0] == MANY + 1


def test_streams(client: Client) -> None:
    sql = f"SELECT number FROM numbers({MANY})"
    with client.query_row_block_stream(sql) as blocks:
        assert sum(len(block) for block in blocks) == MANY
    with client.query_rows_stream(sql) as rows:
        assert sum(row[0] for row in rows) == MANY * (MANY - 1) // 2
    with client.query_df_stream(sql) as frames:
        assert sum(len(frame) for frame in frames) == MANY
    with client.query_arrow_stream(sql) as batches:
        assert sum(batch.num_rows for batch in batches) == MANY
    with client.raw_stream(sql, fmt="CSV") as raw:
        assert raw.read().count(b"\n") == MANY


def test_raw_calls(client: Client, table: str) -> None:
    client.raw_insert(table, ["id", "name"], b"1,x\n2,y\n", fmt="CSV")
    assert client.raw_query(f"SELECT id, name FROM {table} ORDER BY id", fmt="TSV") == b"1\tx\n2\ty\n"


def test_settings_sessions_and_external_tables(store: StoreProcess, client: Client) -> None:
    assert client.query("SELECT getSetting('max_block_size')", settings={"max_block_size": 321}).result_rows[0] == (321,)
    external = ExternalData(file_name="wanted", data=b"1\n5\n", fmt="CSV", structure=["number UInt64"])
    assert client.query("SELECT count() FROM numbers(9) WHERE number IN wanted", external_data=external).result_rows[0] == (2,)
    session = store.client()
    assert client.query("SELECT 1 WHERE 0").row_count == 0
    session.close()


def test_errors(client: Client, table: str) -> None:
    with pytest.raises(DatabaseError, match="UNKNOWN_IDENTIFIER") as unknown:
        client.query("SELECT nope")
    assert unknown.value.code == 47
    with (
        pytest.raises(DatabaseError, match="395"),
        client.query_row_block_stream("SELECT throwIf(number = 900000) FROM numbers(1000000)") as blocks,
    ):
        for _ in blocks:
            pass
    with pytest.raises(DatabaseError, match="60"):
        client.insert("nothing_here", [[1]], ["a"])
    assert client.command("SELECT 1") == 1
