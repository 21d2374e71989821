"""Analysts: let in by password, and read-only for real."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from connectors.clickhouse.server.users import Analysts
from tests.integration.history_process import StoreProcess

OWNER, ANALYST = "of-the-platform", "correct horse battery"
SECRET = "s3cret-of-a-file"
LIMIT_S = 5


class Guarded(StoreProcess):
    """A store with a password and one analyst."""

    def ask(self, query: str | None, body: bytes | None = None, **params: str) -> tuple[int, dict[str, str], bytes]:
        return self.http(query, body, {"X-ClickHouse-User": "ann", "X-ClickHouse-Key": ANALYST}, **params)

    def own(self, query: str | None, body: bytes | None = None, **params: str) -> tuple[int, dict[str, str], bytes]:
        return self.http(query, body, {"X-ClickHouse-User": "default", "X-ClickHouse-Key": OWNER}, **params)

    @property
    def secret(self) -> Path:
        return self.folder / "secret.csv"

    @property
    def out(self) -> Path:
        return self.folder / "out.csv"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    analysts = Analysts(folder / "users.json")
    analysts.add("ann", ANALYST)
    started = Guarded(
        folder,
        {"QUANTUM_CLICKHOUSE_PASSWORD": OWNER},
        ("--users", str(analysts.path), "--analyst-seconds", str(LIMIT_S), "--memory-mb", "1200"),
    )
    started.start()
    started.secret.write_text(f"{SECRET}\n")
    for statement in (
        "CREATE TABLE quantum.t (a Int32, b String, at DateTime64(6, 'UTC')) ENGINE = MergeTree ORDER BY a",
        "INSERT INTO quantum.t SELECT number, toString(number), now64() FROM numbers(100)",
        "CREATE VIEW quantum.v_from AS SELECT a, b FROM quantum.t WHERE a >= {least:Int32}",
        "CREATE VIEW quantum.v_all AS SELECT * FROM quantum.t",
        "CREATE DATABASE hidden ENGINE = Atomic",
        f"CREATE TABLE hidden.h ENGINE = MergeTree ORDER BY x AS SELECT '{SECRET}' AS x",
    ):
        status, _, body = started.own(None, statement.encode())
        assert status == 200, body
    yield started
    started.stop()


def test_a_password_is_wanted_and_every_way_of_giving_it_works(store: Guarded) -> None:
    basic = base64.b64encode(f"ann:{ANALYST}".encode()).decode()
    assert store.http("SELECT 1", None, {"Authorization": f"Basic {basic}"})[2] == b"1\n"
    assert store.http("SELECT 1", user="ann", password=ANALYST)[2] == b"1\n"
    assert store.ask("SELECT 1")[2] == b"1\n"
    assert store.own("SELECT 1")[2] == b"1\n"
    for user, password in (
        ("ann", "wrong"),
        ("ann", ""),
        ("ann", OWNER),
        ("nobody", ANALYST),
        ("", ANALYST),
        ("default", ""),
        ("ann\0", ANALYST),
    ):
        status, headers, body = store.http("SELECT 1", user=user, password=password)
        assert (status, headers["X-ClickHouse-Exception-Code"]) == (403, "516")
        assert b"Authentication failed: password is incorrect, or there is no user with such name" in body
    both = store.http("SELECT 1", None, {"Authorization": f"Basic {basic}"}, user="ann", password=ANALYST)
    assert both[1]["X-ClickHouse-Exception-Code"] == "516"
    assert store.http("SELECT 1", None, {"Authorization": "Basic ???"})[1]["X-ClickHouse-Exception-Code"] == "516"
    assert store.http("SELECT 1", None, {"Authorization": "Bearer x"})[1]["X-ClickHouse-Exception-Code"] == "516"
    assert ANALYST not in store.log.read_text()
    assert OWNER not in store.log.read_text()


def test_users_come_and_go_while_the_store_runs(store: Guarded) -> None:
    analysts = Analysts(store.folder / "users.json")
    assert store.http("SELECT 1", user="bob", password="bob's first word")[0] == 403
    analysts.add("bob", "bob's first word")
    assert store.http("SELECT 1", user="bob", password="bob's first word")[2] == b"1\n"
    analysts.add("bob", "bob's other word")
    assert store.http("SELECT 1", user="bob", password="bob's first word")[0] == 403
    assert store.http("SELECT 1", user="bob", password="bob's other word")[2] == b"1\n"
    assert analysts.remove("bob")
    assert store.http("SELECT 1", user="bob", password="bob's other word")[0] == 403
    assert store.ask("SELECT 1")[2] == b"1\n"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(), sum(a), max(b), quantileIf(0.5)(a, a > 3), argMaxOrNull(b, a) FROM t",
        "SELECT * FROM v_from(least = 98) ORDER BY a",
        "SELECT * FROM quantum.v_from(least = {n:Int32}) ORDER BY a FORMAT JSON",
        "WITH x AS (SELECT a FROM t), 5 AS five SELECT count() FROM x WHERE a > five AND a IN (SELECT a FROM v_all) AND a NOT IN x",
        "SELECT a, row_number() OVER (PARTITION BY a % 3 ORDER BY a) AS r, lagInFrame(a) OVER w FROM t WINDOW w AS "
        "(ORDER BY a) QUALIFY r < 3",
        "SELECT toStartOfInterval(at, INTERVAL 1 MINUTE) AS m, round(avg(a), 2), arrayMap(x -> x + 1, groupArray(a)), "
        "formatDateTime(m, '%F') FROM t GROUP BY ALL",
        "SELECT * APPLY(toString) EXCEPT (at) FROM t LIMIT 1 BY a LIMIT 2",
        "SELECT * REPLACE (a + 1 AS a), COLUMNS('a|b') APPLY(x -> length(toString(x))) FROM t",
        "SELECT l.a, r.b FROM t AS l ASOF LEFT JOIN t AS r ON l.b = r.b AND l.at >= r.at SETTINGS join_use_nulls = 1, max_threads = 1",
        "SELECT a FROM t UNION ALL SELECT number FROM numbers(3) EXCEPT SELECT 1 FORMAT CSV",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r",
        "SELECT CASE WHEN a > 3 THEN 'x' ELSE 'y' END, CAST(a AS Nullable(Float64)), a::String, a BETWEEN 1 AND 2, b "
        "LIKE '1%', EXISTS (SELECT 1) FROM t",
        "SELECT number FROM numbers(5) ORDER BY number WITH FILL FROM 0 TO 9 STEP 2 INTERPOLATE",
        "SELECT c1 FROM values('c1 UInt8, c2 DateTime64(3, ''UTC'')', (1, now64(3)))",
        "SELECT * FROM (VALUES (1, 'a'), (2, 'b'))",
        "SELECT map('a', 1)['a'], (1, 2).1, [1, 2][1], tupleElement((1, 2), 2), date_trunc('day', now()), DATE "
        "'2026-01-01', median(number) FROM numbers(9)",
        "SHOW TABLES",
        "SHOW TABLES FROM quantum LIKE 't%'",
        "SHOW DATABASES",
        "DESCRIBE TABLE t FORMAT JSON",
        "DESC quantum.t",
        "EXISTS t",
        "SHOW CREATE TABLE quantum.t",
        "SHOW COLUMNS FROM t",
        "EXPLAIN SELECT * FROM t",
        "EXPLAIN indexes = 1 SELECT * FROM t WHERE a = 1",
        "EXPLAIN PIPELINE SELECT 1", "EXPLAIN SYNTAX SELECT 1",
        "SELECT name, type, comment FROM system.columns WHERE database = 'quantum'",
        "SELECT name, value, readonly FROM system.settings LIMIT 10000",
        "SELECT table_name FROM information_schema.tables LIMIT 1",
        "SELECT 1;", "/* a comment */ SELECT 1 -- another",
    ],
)  # fmt: skip
def test_what_analysts_do_all_day(store: Guarded, statement: str) -> None:
    status, _, body = store.ask(None, statement.encode(), param_n="98")
    assert status == 200, body


ATTACKS = [
    # reading files and the network
    "SELECT file('{secret}')", "SELECT `file`('{secret}')", "SELECT * FROM file('{secret}', 'LineAsString')",
    "SELECT * FROM file('{secret}')",
    "SELECT * FROM '{secret}'", "SELECT * FROM `{secret}`", "SELECT * FROM default.`{secret}`", "SELECT * FROM {table:Identifier}",
    "SELECT p.* APPLY(file) FROM (SELECT '{secret}' AS p) AS p", "SELECT * APPLY file FROM (SELECT '{secret}')",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '{secret}')", "SELECT * REPLACE(file(x) AS x) FROM (SELECT '{secret}' AS x)",
    "SELECT arrayMap(file, ['{secret}'])", "SELECT arrayMap(x -> file(x), ['{secret}'])",
    "SELECT mapApply((k, v) -> (k, file(v)), map(1, '{secret}'))",
    "WITH x -> file(x) AS f SELECT f('{secret}')", "WITH file('{secret}') AS x SELECT x",
    "WITH x AS (SELECT file('{secret}') AS y) SELECT y FROM x",
    "SELECT 1 UNION ALL SELECT toUInt8(file('{secret}'))", "SELECT (SELECT (SELECT file('{secret}')))",
    "SELECT 1 WHERE file('{secret}') LIKE 's%'",
    "SELECT 1 ORDER BY file('{secret}')", "SELECT 1 LIMIT length(file('{secret}'))",
    "SELECT count() OVER (PARTITION BY file('{secret}')) FROM t",
    "SELECT count() FROM t WINDOW w AS (ORDER BY file('{secret}'))", "SELECT x FROM t ARRAY JOIN [file('{secret}')] AS x",
    "SELECT * FROM t JOIN t AS u ON u.b = file('{secret}')", "SELECT a FROM t GROUP BY GROUPING SETS ((file('{secret}')), (a))",
    "SELECT a FROM t ORDER BY a WITH FILL INTERPOLATE (b AS file('{secret}'))", "SELECT 1 QUALIFY file('{secret}') != ''",
    "SELECT * FROM view(SELECT file('{secret}'))", "SELECT * FROM viewIfPermitted(SELECT file('{secret}') AS x ELSE null('x String'))",
    "SELECT b FROM values('a Int32, b String ALIAS file(''{secret}'')', (1))",
    "SELECT b FROM values('a Int32, b String DEFAULT file(''{secret}'')', (1, ''))",
    "SELECT b FROM values('a Int32, b ALIAS file(''{secret}'')', (1))",
    "SELECT b FROM generateRandom('a Int32, b String ALIAS file(''{secret}'')') LIMIT 1",
    "SELECT * FROM v_from(least = length(file('{secret}')))", "SELECT * FROM (EXPLAIN SELECT file('{secret}'))",
    "EXPLAIN SELECT file('{secret}')", "EXPLAIN QUERY TREE SELECT * FROM file('{secret}')",
    "EXPLAIN ESTIMATE SELECT * FROM file('{secret}')",
    "EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:1', 'b', 'c', 'd', 'e') PARTITION BY toYYYYMM(x)", "DESCRIBE TABLE file('{secret}')",
    "DESCRIBE (SELECT file('{secret}'))", "DESC `{secret}`", "DESC default.`x`", "EXISTS hidden.h", "SHOW CREATE TABLE hidden.h",
    "SHOW CREATE TABLE system.`t` SETTINGS x = 1", "SHOW COLUMNS FROM h FROM hidden", "SHOW INDEXES FROM h FROM hidden",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV')", "SELECT * FROM urlCluster('default', 'http://127.0.0.1:1/')",
    "SELECT * FROM s3('http://127.0.0.1:1/a')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)", "SELECT * FROM remoteSecure('127.0.0.1:1', view(SELECT 1))",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM clusterAllReplicas('default', view(SELECT file('{secret}')))", "SELECT * FROM executable('x.sh', 'CSV', 'a Int32')",
    "SELECT * FROM python('x')", "SELECT * FROM Python(SECRET)", "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM mysql('127.0.0.1:1', 'b', 'c', 'd', 'e')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'b', 'c', 'd', 'e')", "SELECT * FROM sqlite('{secret}', 't')",
    "SELECT * FROM odbc('x', 'y')",
    "SELECT * FROM filesystem('/')", "SELECT * FROM hdfs('x')", "SELECT * FROM deltaLakeLocal('{secret}')",
    "SELECT * FROM icebergLocal('{secret}')",
    "SELECT * FROM format('CSV', '1')", "SELECT * FROM input('a Int32')", "SELECT * FROM redis('x', 'k', 'k String')",
    "SELECT * FROM mongodb('a', 'b', 'c', 'd', 'e', 'x Int8')",
    "SELECT aiGenerate('x')", "SELECT showCertificate()", "SELECT dictGet('hidden.d', 'x', 1)", "SELECT joinGet('hidden.h', 'x', 1)",
    "SELECT getMacro('x')",
    "SELECT getServerSetting('x')", "SELECT sleep(3)", "SELECT sleepEachRow(1) FROM t", "SELECT addressToLine(1)",
    "SELECT currentProfiles()",
    "SELECT catboostEvaluate('{secret}', 1)", "SELECT evalMLMethod('x', 1)", "SELECT hasColumnInTable('hidden', 'h', 'x')",
    "SELECT @@version", "SELECT fILE('{secret}')",
    # other people's things
    "SELECT * FROM hidden.h", "SELECT '{word}' IN hidden.h", "SELECT 'x' NOT IN (hidden.h)", "SELECT * FROM merge('hidden', 'h')",
    "SELECT * FROM merge(REGEXP('.*'), 'h')",
    "SELECT * FROM loop(hidden, h)", "SELECT * FROM mergeTreeIndex(hidden, h)", "SELECT * FROM dictionary('hidden.d')",
    "SELECT * FROM system.processes",
    "SELECT 1 IN system.processes", "SELECT * FROM system.`processes`", "SELECT * FROM `system`.`users`",
    "SELECT * FROM system.named_collections", "SELECT * FROM system.server_settings",
    "SELECT * FROM system.query_log", "SELECT * FROM system.disks", "SELECT * FROM system.macros", "SELECT * FROM system.certificates",
    "SELECT * FROM system.stack_trace",
    "SELECT * FROM system.asynchronous_inserts", "SELECT * FROM system.parts", "SHOW PROCESSLIST", "SHOW TABLES FROM default",
    "SHOW GRANTS", "SHOW CREATE USER default", "SHOW ACCESS",
    "SELECT * FROM t AS x, hidden.h AS y", "SELECT (SELECT x FROM hidden.h)",
    "SELECT * FROM (WITH h AS (SELECT 1) SELECT * FROM h), hidden.h",
    # writing
    "SELECT 1 INTO OUTFILE '{out}'", "SELECT 1 INTO/**/OUTFILE '{out}' FORMAT CSV", "SELECT 1 FORMAT CSV INTO OUTFILE '{out}'",
    "SELECT \u2018'\u2019 INTO OUTFILE '{out}'",
    "(SELECT 1) INTO OUTFILE '{out}'", "EXPLAIN SELECT 1 INTO OUTFILE '{out}'", "SHOW TABLES INTO OUTFILE '{out}'",
    "DESCRIBE t INTO OUTFILE '{out}'",
    "WITH 1 AS x SELECT x INTO OUTFILE '{out}' TRUNCATE", "SELECT 1 AS a$b$ INTO OUTFILE '{out}' -- $b$",
    "SELECT $x$ a INTO OUTFILE '{out}'",
    "SELECT 1 SETTINGS output_format_schema = '{out}' FORMAT Protobuf",
    "SELECT 1 FORMAT Protobuf SETTINGS output_format_schema = '{out}'",
    "INSERT INTO t (a) VALUES (1)", "INSERT INTO t (a) SELECT 1", "INSERT INTO FUNCTION file('{out}') SELECT 1",
    "WITH 1 AS x INSERT INTO t (a) SELECT x",
    "EXPLAIN INSERT INTO t (a) SELECT 1", "CREATE TABLE n (a Int32) ENGINE = Memory", "CREATE TEMPORARY TABLE n (a Int32)",
    "CREATE FUNCTION f AS x -> x", "CREATE USER x",
    "CREATE NAMED COLLECTION c AS a = 1", "DROP TABLE t", "TRUNCATE TABLE t", "ALTER TABLE t DELETE WHERE 1",
    "ALTER TABLE t FETCH PARTITION 1 FROM '/x'", "OPTIMIZE TABLE t",
    "RENAME TABLE t TO u", "EXCHANGE TABLES t AND v_all", "DELETE FROM t WHERE 1", "UPDATE t SET a = 1 WHERE 1",
    "ATTACH TABLE x FROM '/x' (a Int32) ENGINE = MergeTree ORDER BY a", "DETACH TABLE t",
    "BACKUP TABLE t TO Disk('d', 'x')", "RESTORE TABLE t FROM File('{secret}')", "SYSTEM STOP MERGES", "SYSTEM SHUTDOWN",
    "SYSTEM RELOAD CONFIG", "KILL QUERY WHERE 1",
    "GRANT ALL ON *.* TO ann", "EXECUTE AS default SELECT 1", "USE hidden", "BEGIN TRANSACTION", "CHECK TABLE t", "UNDROP TABLE x",
    "MOVE USER x TO y", "SELECT 1 PARALLEL WITH DROP TABLE t",
    # more than one statement
    "SELECT 1; DROP TABLE t", "SELECT 1;;SELECT 2", "SELECT \u2018'\u2019; DROP TABLE t --'", "SELECT 1 AS a$b$; DROP TABLE t --$b$",
    "SELECT $a$; DROP TABLE t", "EXPLAIN AST SELECT 1; DROP TABLE t",
    "SELECT 1 /* ; */; DROP TABLE t", "SELECT 1 --\n; DROP TABLE t", "SELECT '\\'; DROP TABLE t --'; DROP TABLE t",
    "DESC t; DROP TABLE t", "DESC t /* */; DROP TABLE t", "SELECT 1 \0; DROP TABLE t",
    "SELECT \u201c'\u201d; DROP TABLE t --'", "DESC `t`; DROP TABLE t -- `", "SELECT 1 # x\n; DROP TABLE t",
    # lifting the limits
    "SET readonly = 0", "SET max_execution_time = 0", "SELECT 1 SETTINGS readonly = 0", "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT 1 SETTINGS max_execution_time = 600",
    "SELECT 1 SETTINGS max_memory_usage = 0", "SELECT 1 SETTINGS max_memory_usage = 100000000000",
    "SELECT 1 SETTINGS max_execution_time = DEFAULT", "SELECT 1 SETTINGS max_threads = 1000",
    "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)", "SELECT 1 SETTINGS log_comment = 'x'",
    "SELECT 1 SETTINGS profile = 'default'", "SELECT 1 SETTINGS dialect = 'kusto'",
    "SELECT 1 SETTINGS allow_introspection_functions = 1", "SELECT 1 SETTINGS param_x = 5", "SELECT 1 SETTINGS max_result_bytes = 0",
    "SELECT 1 SETTINGS format_schema = '{secret}'",
    "SELECT 1 SETTINGS max_execution_time = nan", "SELECT 1 SETTINGS max_execution_time = 'nan'",
    "SELECT 1 SETTINGS max_execution_time = -1", "SELECT 1 FORMAT Template SETTINGS format_template_row = '{secret}'",
    "EXPLAIN x = 1 SELECT 1", "SELECT 1 SETTINGS user_files_path = '/'",
]  # fmt: skip


_REFUSALS = {"36", "48", "60", "62", "73", "164", "452", "497", "552"}


@pytest.mark.parametrize("statement", ATTACKS)
def test_what_analysts_are_refused(store: Guarded, statement: str) -> None:
    for name, value in {"secret": store.secret, "out": store.out, "word": SECRET}.items():
        statement = statement.replace(f"{{{name}}}", str(value))
    status, headers, body = store.ask(None, statement.encode(), param_table="hidden.h")
    assert status != 200, body
    assert headers["X-ClickHouse-Exception-Code"] in _REFUSALS, body
    assert body.startswith(b"Code: ")
    assert SECRET not in body.decode().replace(statement, "").replace(f"'{SECRET}'", "")
    assert not store.out.exists()
    assert store.own("SELECT count(), sum(a) FROM quantum.t")[2] == b"100\t4950\n"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"readonly": "0"}, "164"),
        ({"profile": "default"}, "164"),
        ({"max_execution_time": "0"}, "452"),
        ({"max_execution_time": "3600"}, "452"),
        ({"max_memory_usage": "99999999999"}, "452"),
        ({"max_result_bytes": "0"}, "452"),
        ({"result_overflow_mode": "break"}, "164"),
        ({"log_comment": "x"}, "164"),
        ({"output_format_schema": "/tmp/x"}, "164"),
        ({"format_schema": "/tmp/x"}, "164"),
        ({"allow_ddl": "1"}, "164"),
        ({"database": "hidden"}, "497"),
        ({"database": "system"}, "497"),
        ({"default_format": "dataframe"}, "73"),
    ],
)
def test_the_url_opens_no_door(store: Guarded, params: dict[str, Any], code: str) -> None:
    status, headers, body = store.ask("SELECT 1", **params)
    assert status != 200, body
    assert headers["X-ClickHouse-Exception-Code"] == code


def test_an_external_table_is_refused(store: Guarded) -> None:
    parts = [
        ("x_structure", "", "a Int32) ENGINE = Memory; DROP TABLE quantum.t; --"),
        ("x", "; filename=\"x\"", "1\n"),
    ]  # fmt: skip
    form = (
        "".join(f'--b\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{text}\r\n' for name, extra, text in parts)
        + "--b--\r\n"
    )
    headers = {"X-ClickHouse-User": "ann", "X-ClickHouse-Key": ANALYST, "Content-Type": "multipart/form-data; boundary=b"}
    status, answer, _ = store.http("SELECT * FROM x", form.encode(), headers)
    assert (status, answer["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert store.own("SELECT count() FROM quantum.t")[2] == b"100\n"


def test_an_analyst_gets_into_nobodys_session(store: Guarded) -> None:
    assert store.own("CREATE TEMPORARY TABLE mine (a Int32) ENGINE = Memory", b"", session_id="s")[0] == 200
    assert store.ask("SELECT * FROM mine", session_id="s")[1]["X-ClickHouse-Exception-Code"] == "60"
    assert store.own("SELECT count() FROM mine", session_id="s")[2] == b"0\n"


def test_limits_of_time_and_memory_have_clickhouses_codes(store: Guarded) -> None:
    status, headers, body = store.ask("SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) = 1")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (408, "159"), body
    assert (
        store.ask("SELECT count() FROM numbers(1000000000000) SETTINGS max_execution_time = 1")[1]["X-ClickHouse-Exception-Code"] == "159"
    )
    _, headers, body = store.ask("SELECT length(groupArray(cityHash64(number))) FROM numbers(200000000)", max_memory_usage="50000000")
    assert headers["X-ClickHouse-Exception-Code"] == "241", body
    _, headers, body = store.ask("SELECT repeat('x', 1000) FROM numbers(1000000) FORMAT JSON")
    assert headers["X-ClickHouse-Exception-Code"] in {"396", "241"}, body
    assert store.ask("SELECT getSetting('max_execution_time')")[2] == f"{LIMIT_S}\n".encode()


def test_clickhouse_connect_as_an_analyst(store: Guarded) -> None:
    client = clickhouse_connect.get_client(host="127.0.0.1", port=store.port, username="ann", password=ANALYST)
    assert client.query("SELECT count() FROM t").result_rows == [(100,)]
    assert client.query("SELECT a FROM t WHERE b = {b:String}", {"b": "7"}, settings={"max_threads": 1}).result_rows == [(7,)]
    assert client.query_df("SELECT a FROM t ORDER BY a LIMIT 2")["a"].tolist() == [0, 1]
    assert client.query_arrow("SELECT a FROM t ORDER BY a LIMIT 2").num_rows == 2
    with client.query_rows_stream("SELECT number FROM numbers(200000)") as rows:
        assert sum(1 for _ in rows) == 200_000
    with pytest.raises(DatabaseError, match="READONLY") as refused:
        client.command("DROP TABLE t")
    assert refused.value.code == 164
    with pytest.raises(DatabaseError, match="164"):
        client.insert("t", [[1]], ["a"])
    client.close()


def test_no_column_is_named_as_a_function_that_analysts_may_not_call(store: Guarded) -> None:
    """Such a column could not be an argument of a function: see what the guard does about higher-order functions."""
    ddl = "\n".join(path.read_text() for path in sorted((Path(__file__).parents[2] / "infra" / "clickhouse").glob("*.sql")))
    columns = sorted(set(re.findall(r"^\s+`(\w+)` ", ddl, re.MULTILINE)))
    assert len(columns) > 50
    body = store.own("SELECT lower(name) FROM system.functions FORMAT TSVRaw")[2].decode()
    refused = set[str]()
    for column in sorted(set(columns) & set(body.split())):
        refused |= {column} if store.ask(f"SELECT toString(`{column}`) FROM (SELECT 1 AS `{column}`)")[0] != 200 else set()
    assert not refused


def test_the_summary_of_an_analyst_counts_what_was_read(store: Guarded) -> None:
    _, headers, _ = store.ask("SELECT sum(a) FROM t WHERE a >= 0")
    assert json.loads(headers["X-ClickHouse-Summary"])["read_rows"] == "100"
