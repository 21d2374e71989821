"""The HTTP face as curl sees it."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from collections.abc import Iterator

import lz4.frame  # type: ignore[import-untyped]  # lz4 ships no stubs
import pytest
from backports import zstd

from tests.integration.history_process import StoreProcess


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    started = StoreProcess(tmp_path_factory.mktemp("store")).start()
    yield started
    started.stop()


def test_a_query_by_url_answers_with_the_headers_of_clickhouse(store: StoreProcess) -> None:
    status, headers, body = store.http("SELECT number, 'a' FROM numbers(2)", query_id="mine")
    assert (status, body) == (200, b"0\ta\n1\ta\n")
    assert headers["X-ClickHouse-Query-Id"] == "mine"
    assert headers["X-ClickHouse-Format"] == "TabSeparated"
    assert headers["X-ClickHouse-Timezone"] == "UTC"
    assert json.loads(headers["X-ClickHouse-Summary"])["result_rows"] == "2"


def test_statement_in_the_body_settings_and_formats(store: StoreProcess) -> None:
    assert store.http(None, b"SELECT 1 AS x", default_format="JSONEachRow")[2] == b'{"x":1}\n'
    assert store.http("SELECT", b" 1 AS x FORMAT CSV")[2] == b"1\n"
    assert store.http("SELECT getSetting('max_block_size')", max_block_size="123")[2] == b"123\n"
    assert store.http("SELECT currentDatabase()", database="quantum")[2] == b"quantum\n"
    assert json.loads(store.http("SELECT 1 AS x FORMAT JSON")[2])["data"] == [{"x": 1}]
    assert store.http("SELECT {a:UInt32} + 1, {b:String}", param_a="4", param_b="it''s")[2] == b"5\tit\\'\\'s\n"


def test_an_insert_counts_its_rows(store: StoreProcess) -> None:
    assert store.http("CREATE TABLE quantum.counted (a Int32, b String) ENGINE = MergeTree ORDER BY a", b"")[0] == 200
    status, headers, _ = store.http("INSERT INTO quantum.counted FORMAT CSV", b'1,"x; DROP TABLE quantum.counted"\n2,y\n')
    assert status == 200
    assert json.loads(headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    store.http(None, b"INSERT INTO quantum.counted (a, b) VALUES (3, 'z;'), (4, 'w')")
    store.http("INSERT INTO quantum.counted (a) VALUES", b"(5)")
    store.http(None, b"INSERT INTO quantum.counted SELECT 6, 'select'")
    store.http(None, b"INSERT INTO quantum.counted FORMAT JSONEachRow\n" + b'{"a":7,"b":"j"}\n' * 3)
    store.http("INSERT INTO quantum.counted FORMAT CSV", gzip.compress(b"8,g\n"), {"Content-Encoding": "gzip"})
    store.http("INSERT INTO quantum.counted FORMAT CSV", lz4.frame.compress(b"9,l\n"), {"Content-Encoding": "lz4"})
    store.http("INSERT INTO quantum.counted FORMAT CSV", zstd.compress(b"10,s\n"), {"Content-Encoding": "zstd"})
    assert store.http("SELECT count(), sum(a) FROM quantum.counted")[2] == b"12\t69\n"


def test_a_broken_insert_stores_nothing(store: StoreProcess) -> None:
    store.http("CREATE TABLE quantum.whole (a Int32) ENGINE = MergeTree ORDER BY a", b"")
    status, headers, _ = store.http("INSERT INTO quantum.whole FORMAT CSV", b"1\n2\nthree\n")
    assert status == 400
    assert headers["X-ClickHouse-Exception-Code"] in {"27", "72", "117"}
    cut = lz4.frame.compress(b"1\n" * 100_000)
    status, headers, _ = store.http("INSERT INTO quantum.whole FORMAT CSV", cut[: len(cut) // 2], {"Content-Encoding": "lz4"})
    assert headers["X-ClickHouse-Exception-Code"] == "271"
    connection = http.client.HTTPConnection("127.0.0.1", store.port)
    connection.putrequest("POST", "/?query=INSERT+INTO+quantum.whole+FORMAT+CSV")
    connection.putheader("Content-Length", "100000")
    connection.endheaders()
    connection.send(b"5\n" * 100)
    connection.close()
    time.sleep(0.3)
    assert store.http("SELECT count() FROM quantum.whole")[2] == b"0\n"


@pytest.mark.parametrize(("encoding", "decompress"), [("gzip", gzip.decompress), ("lz4", lz4.frame.decompress), ("zstd", zstd.decompress)])
@pytest.mark.parametrize("rows", [3, 300_000])
def test_an_answer_is_compressed_as_the_client_asks(store: StoreProcess, encoding: str, decompress: object, rows: int) -> None:
    assert callable(decompress)
    plain = store.http(f"SELECT number FROM numbers({rows}) FORMAT CSV")[2]
    _, headers, body = store.http(
        f"SELECT number FROM numbers({rows}) FORMAT CSV", None, {"Accept-Encoding": encoding}, enable_http_compression="1"
    )
    assert headers["Content-Encoding"] == encoding
    assert decompress(body) == plain
    assert "Content-Encoding" not in store.http("SELECT 1", None, {"Accept-Encoding": encoding})[1]


@pytest.mark.parametrize(
    ("statement", "code", "status"),
    [
        ("SELECT nope", 47, 404),
        ("SELEC 1", 62, 400),
        ("SELECT * FROM quantum.nope", 60, 404),
        ("SELECT 1; SELECT 2", 62, 400),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", 48, 501),
        ("", 62, 400),
        ("SELECT throwIf(1)", 395, 500),
        ("INSERT INTO quantum.nope FORMAT CSV\n1", 60, 404),
        ("SELECT sleep(3) SETTINGS max_execution_time = 0.1", 159, 408),
    ],
)
def test_errors_have_clickhouses_codes(store: StoreProcess, statement: str, code: int, status: int) -> None:
    found, headers, body = store.http(None, statement.encode())
    assert (found, headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert body.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert b"(version " in body


def test_settings_and_databases_that_are_unknown_are_refused(store: StoreProcess) -> None:
    assert store.http("SELECT 1", nonsense="1")[1]["X-ClickHouse-Exception-Code"] == "115"
    assert store.http("SELECT 1", database="nope")[1]["X-ClickHouse-Exception-Code"] == "81"


def test_get_only_reads(store: StoreProcess) -> None:
    assert store.http("DROP DATABASE quantum")[1]["X-ClickHouse-Exception-Code"] == "164"
    assert store.http("INSERT INTO quantum.x VALUES (1)")[1]["X-ClickHouse-Exception-Code"] == "164"


@pytest.mark.parametrize(
    "engine", ["= Kafka", "=Kafka('b', 't', 'g', 'CSV')", "Kafka", "= /* c */ `Kafka`", "= kafka() SETTINGS kafka_topic_list = 't'"]
)
def test_kafka_tables_are_refused_before_they_harm_the_store(store: StoreProcess, engine: str) -> None:
    _, headers, body = store.http(None, f"CREATE TABLE quantum.k (a Int32) ENGINE {engine}".encode())
    assert headers["X-ClickHouse-Exception-Code"] == "48"
    assert b"quantum worker sink" in body or b"sink" in body
    assert store.http("EXISTS TABLE quantum.k")[2] == b"0\n"


def test_a_failure_after_the_first_rows_breaks_the_answer_off(store: StoreProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", store.port)
    connection.request("GET", "/?query=SELECT+number,throwIf(number=5000000)+FROM+numbers(10000000)+FORMAT+CSV&max_threads=1")
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises(http.client.IncompleteRead) as broken:
        answer.read()
    tag = answer.headers["X-ClickHouse-Exception-Tag"].encode()
    assert b"__exception__\r\n" + tag in broken.value.partial[-2000:]
    assert b"Code: 395" in broken.value.partial[-2000:]
    answer.close()
    connection.close()


def test_a_session_keeps_tables_and_settings_and_other_requests_do_not_see_them(store: StoreProcess) -> None:
    assert store.http("CREATE TEMPORARY TABLE mine (a Int32) ENGINE = Memory", b"", session_id="s")[0] == 200
    store.http("INSERT INTO mine VALUES (5)", b"", session_id="s")
    store.http("SET max_block_size = 77", b"", session_id="s")
    assert store.http("SELECT a, getSetting('max_block_size') FROM mine", session_id="s", max_block_size="99")[2] == b"5\t99\n"
    assert store.http("SELECT nope FROM mine FORMAT JSON", session_id="s")[0] == 404
    assert store.http("SELECT a, getSetting('max_block_size') FROM mine", session_id="s")[2] == b"5\t77\n"
    assert store.http("SELECT a FROM mine")[1]["X-ClickHouse-Exception-Code"] == "60"
    assert store.http("SELECT 1", session_id="other", session_check="1")[1]["X-ClickHouse-Exception-Code"] == "372"
    slow = threading.Thread(target=store.http, args=("SELECT sleep(1)",), kwargs={"session_id": "s"})
    slow.start()
    time.sleep(0.4)
    assert store.http("SELECT 1", session_id="s")[1]["X-ClickHouse-Exception-Code"] == "373"
    slow.join()


def test_a_client_that_goes_away_ends_its_query(store: StoreProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", store.port)
    connection.request("GET", "/?query=SELECT+count()+FROM+numbers(1000000000000)&query_id=forsaken")
    running = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'forsaken'"
    deadline = time.monotonic() + 20
    while store.http(running)[2] != b"1\n":
        assert time.monotonic() < deadline
    connection.close()
    while store.http(running)[2] != b"0\n":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_long_queries_do_not_stop_inserts(store: StoreProcess) -> None:
    store.http("CREATE TABLE quantum.busy (a Int32) ENGINE = MergeTree ORDER BY a", b"")
    slow = [
        threading.Thread(target=store.http, args=("SELECT sleepEachRow(0.1) FROM numbers(30) SETTINGS max_block_size = 1",))
        for _ in range(40)
    ]
    for each in slow:
        each.start()
    started = time.monotonic()
    for number in range(10):
        assert store.http("INSERT INTO quantum.busy FORMAT CSV", f"{number}\n".encode())[0] == 200
    assert time.monotonic() - started < 2.5
    for each in slow:
        each.join()


def test_a_materialised_answer_has_a_limit(store: StoreProcess) -> None:
    _, headers, _ = store.http("SELECT repeat('x', 1000) FROM numbers(1000000) FORMAT JSON")
    assert headers["X-ClickHouse-Exception-Code"] in {"396", "241"}  # too many bytes, or too much memory for them, whichever comes first
    assert store.http("SELECT 1")[2] == b"1\n"


def test_a_password_is_asked_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = {"QUANTUM_CLICKHOUSE_USER": "sink", "QUANTUM_CLICKHOUSE_PASSWORD": "s3cret"}
    guarded = StoreProcess(tmp_path_factory.mktemp("guarded"), environment).start()
    try:
        assert guarded.http("SELECT 1")[:1] == (403,)
        assert guarded.http("SELECT 1", user="sink", password="wrong")[1]["X-ClickHouse-Exception-Code"] == "516"
        assert guarded.http("SELECT 1", user="sink", password="s3cret")[2] == b"1\n"
        assert guarded.http("SELECT 1", None, {"X-ClickHouse-User": "sink", "X-ClickHouse-Key": "s3cret"})[2] == b"1\n"
    finally:
        guarded.stop()
