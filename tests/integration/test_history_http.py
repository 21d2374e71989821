"""The HTTP face as curl sees it."""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    ("params", "headers", "code"),
    [
        ({"compress": "1"}, {}, "48"),
        ({"decompress": "1"}, {}, "48"),
        ({"default_format": "dataframe"}, {}, "73"),
        ({"default_format": "Nonsense"}, {}, "73"),
        ({}, {"Content-Encoding": "br"}, "48"),
        ({}, {"Authorization": "Bearer x"}, "516"),
    ],
)
def test_what_is_not_supported_says_so(store: StoreProcess, params: dict[str, Any], headers: dict[str, str], code: str) -> None:
    status, answer, body = store.http(None, b"SELECT 1", headers, **params)
    assert (status != 200, answer["X-ClickHouse-Exception-Code"]) == (True, code), body
    assert body.startswith(f"Code: {code}. DB::Exception: ".encode())


def test_a_statement_that_is_not_utf8_and_methods_that_are_none(store: StoreProcess) -> None:
    assert store.http(None, b"SELECT '\xff'")[1]["X-ClickHouse-Exception-Code"] == "48"
    assert store.http("SELECT 1", b"", method="PUT")[0] == 405


def test_limits_of_time_and_memory(store: StoreProcess) -> None:
    slow = "SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) = 1"
    assert store.http(slow, max_execution_time="1")[:1] == (408,)
    assert store.http(f"{slow} SETTINGS max_execution_time = 1")[1]["X-ClickHouse-Exception-Code"] == "159"
    large = "SELECT length(groupArray(cityHash64(number))) FROM numbers(200000000)"
    assert store.http(large, max_memory_usage="50000000")[1]["X-ClickHouse-Exception-Code"] == "241"
    assert store.http("SELECT getSetting('max_execution_time'), getSetting('max_memory_usage') > 0")[2] == b"300\t1\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(store: StoreProcess, tmp_path: Path) -> None:
    def curl(*arguments: str) -> str:
        done = subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    assert curl(f"{store.url}/ping") == "Ok.\n"
    assert curl(f"{store.url}/?query=SELECT%201") == "1\n"
    assert curl(store.url, "--data-binary", "SELECT 1 AS x FORMAT JSONEachRow") == '{"x":1}\n'
    curl(store.url, "--data-binary", "CREATE TABLE quantum.curled (a Int32, b String) ENGINE = MergeTree ORDER BY a")
    rows = tmp_path / "rows.csv"
    rows.write_text("1,x\n2,y\n")
    curl(f"{store.url}/?query=INSERT%20INTO%20quantum.curled%20FORMAT%20CSV", "--data-binary", f"@{rows}")
    zipped = tmp_path / "rows.csv.gz"
    zipped.write_bytes(gzip.compress(b"3,z\n"))
    url = f"{store.url}/?query=INSERT%20INTO%20quantum.curled%20FORMAT%20CSV"
    curl(url, "--data-binary", f"@{zipped}", "-H", "Content-Encoding: gzip")
    assert curl("--compressed", f"{store.url}/?enable_http_compression=1&query=SELECT%20sum(a)%20FROM%20quantum.curled") == "6\n"
    assert curl("-G", store.url, "--data-urlencode", "query=SELECT {x:Int32} + 1", "-d", "param_x=4", "--user", "default:") == "5\n"
    assert curl("-F", "query=SELECT {x:String}", "-F", "param_x=a b", store.url) == "a b\n"
    assert "X-ClickHouse-Exception-Code: 62" in curl("-i", store.url, "-d", "SELEC 1")


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
    running = "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], 'forsaken ')"
    deadline = time.monotonic() + 20
    while store.http(running)[2] != b"1\n":
        assert time.monotonic() < deadline
    connection.close()
    while store.http(running)[2] != b"0\n":
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("limit", ["max_memory_usage", "max_execution_time"])
def test_an_insert_that_fails_at_a_limit_is_never_acknowledged(store: StoreProcess, limit: str) -> None:
    """The engine's library keeps silent about some of these failures: with the limits below, more than one in ten."""
    store.http(f"CREATE TABLE quantum.acked_{limit} (block UInt32, a UInt64, b String) ENGINE = MergeTree ORDER BY a", b"")
    values = range(2_000_000, 9_000_000, 100_000) if limit == "max_memory_usage" else [step / 5_000 for step in range(1, 60)]
    acknowledged = set[int]()
    for insert, value in enumerate(values):
        params: dict[str, Any] = {limit: str(value), "max_untracked_memory": "0"}
        block = b"".join(b"%d,%d,some text\n" % (insert, number) for number in range(5_000))
        status, headers, _ = store.http(f"INSERT INTO quantum.acked_{limit} FORMAT CSV", block, **params)
        assert status == 200 or headers["X-ClickHouse-Exception-Code"] in {"159", "241", "319"}
        acknowledged |= {insert} if status == 200 else set()
    assert 0 < len(acknowledged) < len(values), "the limits are not around what an insert takes"
    rows = store.http(f"SELECT block, count() FROM quantum.acked_{limit} GROUP BY block")[2].split()
    stored = dict(zip(map(int, rows[::2]), map(int, rows[1::2]), strict=True))
    assert set(stored.values()) == {5_000}, "an insert is there in part"
    assert acknowledged <= stored.keys(), "acknowledged rows are missing"


def test_one_client_that_goes_away_does_not_end_the_statement_of_another_with_the_same_id(store: StoreProcess) -> None:
    answers: list[bytes] = []
    slow = threading.Thread(target=lambda: answers.append(store.http("SELECT sleep(2)", query_id="shared")[2]))
    slow.start()
    connection = http.client.HTTPConnection("127.0.0.1", store.port)
    connection.request("GET", "/?query=SELECT+count()+FROM+numbers(1000000000000)&query_id=shared")
    running = "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], 'shared ')"
    deadline = time.monotonic() + 20
    while store.http(running)[2] != b"2\n":
        assert time.monotonic() < deadline
    connection.close()
    slow.join()
    assert answers == [b"0\n"]


@pytest.mark.campaign
def test_heavy_readers_do_not_stop_inserts(store: StoreProcess) -> None:
    """Readers that want more memory than there is, all cores and large answers: inserts are stored or refused, and none waits long."""
    store.http("CREATE TABLE quantum.meanwhile (block UInt32, a UInt64, b String) ENGINE = MergeTree ORDER BY a", b"")
    heavy = (
        "SELECT number % 20000000 AS g, count(), groupArray(toString(number)) FROM numbers(1000000000) GROUP BY g FORMAT Null",
        "SELECT toString(cityHash64(number)) AS s FROM numbers(1000000000) ORDER BY s FORMAT Null",
        "SELECT count() FROM numbers(10000000000) WHERE cityHash64(number) % 7 = 3",
        "SELECT number, repeat('x', 100) FROM numbers(100000000) FORMAT CSV",
    )
    stop = threading.Event()
    codes: set[str] = set()

    def read(query: str) -> None:
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=60)
            connection.request("POST", "/?max_execution_time=4", query.encode())
            answer = connection.getresponse()
            codes.add(answer.headers.get("X-ClickHouse-Exception-Code", "0"))
            for _ in range(2_000):
                try:
                    if stop.is_set() or not answer.read1(65_536):
                        break
                except http.client.IncompleteRead:  # the statement reached a limit after its first rows
                    codes.add("broken off")
                    break
            connection.close()

    readers = [threading.Thread(target=read, args=(query,)) for query in heavy * 2]
    for each in readers:
        each.start()
    try:
        waits: list[float] = []
        doubtful: set[int] = set()
        refused: set[int] = set()
        deadline = time.monotonic() + 12
        while time.monotonic() < deadline:
            started = time.monotonic()
            block = b"".join(b"%d,%d,some text\n" % (len(waits), number) for number in range(5_000))
            status, headers, body = store.http("INSERT INTO quantum.meanwhile FORMAT CSV", block)
            if headers.get("X-ClickHouse-Exception-Code") == "319":  # it is not known whether it is stored, and so said
                doubtful.add(len(waits))
            elif headers.get("X-ClickHouse-Exception-Code") == "241":  # the readers have the memory; a sink tries again
                refused.add(len(waits))
            else:
                assert status == 200, body
                assert json.loads(headers["X-ClickHouse-Summary"])["written_rows"] == "5000"
            waits.append(time.monotonic() - started)
    finally:
        stop.set()
        for each in readers:
            each.join()
    fields = store.http("SELECT block, count() FROM quantum.meanwhile GROUP BY block")[2].split()
    stored = dict(zip(map(int, fields[::2]), map(int, fields[1::2]), strict=True))
    assert set(stored.values()) == {5_000}, "an insert is there in part"
    assert set(range(len(waits))) - doubtful - refused <= stored.keys(), "acknowledged rows are missing"
    assert not refused & stored.keys(), "rows of a refused insert are there"
    assert len(doubtful | refused) < len(waits) / 4
    assert codes - {"0"}, "the readers did not reach a limit"
    assert max(waits) < 10, f"an insert waited {max(waits):.1f} s"


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
