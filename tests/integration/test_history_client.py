"""clickhouse-connect against the local store, as against a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import clickhouse_connect
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


@pytest.mark.parametrize("compress", [False, True, "lz4", "zstd", "gzip"])
def test_compression(store: StoreProcess, table: str, compress: bool | str) -> None:
    opened = clickhouse_connect.get_client(host="127.0.0.1", port=store.port, database="quantum", compress=compress)
    opened.insert(table, [[number, "x"] for number in range(20_000)], ["id", "name"])
    assert opened.query(f"SELECT sum(id) FROM {table}").result_rows == [(199_990_000,)]
    assert len(opened.query(f"SELECT id, name FROM {table}").result_rows) == 20_000
    opened.close()


def test_inserts_of_columns_streams_and_selects(client: Client, table: str) -> None:
    client.insert(table, [[1, 2], ["a", "b"]], ["id", "name"], column_oriented=True)
    context = client.create_insert_context(table, ["id", "name"])
    for number in (3, 4):
        context.data = [[number, "c"]]
        client.insert(context=context)
    client.command(f"INSERT INTO {table} (id, name) SELECT id + 10, name FROM {table}")
    assert client.query(f"SELECT count(), sum(id) FROM {table}").result_rows == [(8, 60)]
    assert client.query(f"SELECT id FROM {table} ORDER BY id LIMIT 2").result_columns == [[1, 2]]
    assert client.query_np(f"SELECT id FROM {table} ORDER BY id LIMIT 2").tolist() == [[1], [2]]


def test_types_come_back_as_they_went_in(client: Client) -> None:
    columns = (
        "toDate('2026-01-02')",
        "toDateTime64('2026-01-02 03:04:05.678901', 6, 'UTC')", "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')",
        "toDecimal64('1.50', 2)", "toIPv4('127.0.0.1')", "CAST('x' AS Enum8('x' = 1))", "(1, 'a')",
        "map('k', 1)", "NULL", "[1, NULL]", "true",
        "toInt256('9' || repeat('0', 30))",
    )  # fmt: skip
    row = client.query(f"SELECT {', '.join(columns)}").result_rows[0]
    assert row[0] == date(2026, 1, 2)
    assert row[1].replace(tzinfo=UTC) == datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    assert (str(row[2]), row[3], str(row[4]), row[5]) == ("61f0c404-5cb3-11e7-907b-a6006ad3dba0", Decimal("1.50"), "127.0.0.1", "x")
    assert row[6:] == ((1, "a"), {"k": 1}, None, [1, None], True, 9 * 10**30)


def test_limits_of_a_query_are_settings(client: Client) -> None:
    with pytest.raises(DatabaseError, match="TIMEOUT_EXCEEDED") as slow:
        client.query("SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) = 1", settings={"max_execution_time": 1})
    assert slow.value.code == 159
    with pytest.raises(DatabaseError, match="MEMORY_LIMIT_EXCEEDED") as large:
        client.query("SELECT length(groupArray(cityHash64(number))) FROM numbers(200000000)", settings={"max_memory_usage": 50_000_000})
    assert large.value.code == 241


async def test_the_asynchronous_client(store: StoreProcess) -> None:
    opened = await clickhouse_connect.get_async_client(host="127.0.0.1", port=store.port, database="quantum")
    try:
        answers = await asyncio.gather(*(opened.query("SELECT {n:Int32}", {"n": number}) for number in range(8)))
        assert [answer.result_rows[0][0] for answer in answers] == list(range(8))
    finally:
        closing = opened.close()
        if closing is not None:
            await closing
