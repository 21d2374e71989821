"""What a statement is, told from its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.clickhouse.lexer import tokens
from connectors.clickhouse.server.errors import ClickHouseError
from connectors.clickhouse.server.statement import Kind, parse


@given(st.text(max_size=200))
def test_tokens_never_overlap_and_only_space_lies_between(text: str) -> None:
    end = 0
    for token in tokens(text):
        assert token.start >= end
        assert text[token.start : token.end] == token.text
        end = token.end


@pytest.mark.parametrize(
    ("text", "kind", "form", "streams"),
    [
        ("SELECT 1", Kind.READ, None, True),
        ("-- note; really\n select 1 /* ; */ FORMAT JSON;", Kind.READ, "JSON", True),
        ("(SELECT 1) UNION ALL (SELECT 2) FORMAT CSV SETTINGS max_threads = 1", Kind.READ, "CSV", True),
        ("SELECT 1 AS format", Kind.READ, None, True),
        ("SELECT format FROM t", Kind.READ, None, True),
        ("SELECT 'FORMAT JSON'", Kind.READ, None, True),
        ("WITH 1 AS x SELECT x", Kind.READ, None, True),
        ("SHOW TABLES", Kind.READ, None, False),
        ("DESCRIBE TABLE t FORMAT TSV", Kind.READ, "TSV", False),
        ("EXPLAIN SELECT 1", Kind.READ, None, False),
        ("SET x = 1", Kind.SESSION, None, False),
        ("CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a", Kind.CHANGE, None, False),
        ("CREATE TABLE t (engine String COMMENT 'ENGINE = Kafka') ENGINE = Memory", Kind.CHANGE, None, False),
        ("INSERT INTO t SELECT 1; ", Kind.CHANGE, None, False),
        ("WITH 1 AS x INSERT INTO t SELECT x", Kind.CHANGE, None, False),
        ("SYSTEM STOP MERGES", Kind.CHANGE, None, False),
    ],
)
def test_kinds(text: str, kind: Kind, form: str | None, streams: bool) -> None:
    statement = parse(text.encode())
    assert (statement.kind, statement.format, statement.streams) == (kind, form, streams)


@pytest.mark.parametrize(
    ("text", "sql", "form", "data"),
    [
        ("INSERT INTO t FORMAT CSV\n1;2\n", "INSERT INTO t ", "CSV", "1;2\n"),
        ("insert into t (a, format) settings x = 1 format Native \n\x00;", "insert into t (a, format) settings x = 1 ", "Native", "\x00;"),
        ("INSERT INTO t VALUES (1, ';'); x", "INSERT INTO t ", "Values", " (1, ';'); x"),
        ("INSERT INTO t (a) VALUES(1)", "INSERT INTO t (a) ", "Values", "(1)"),
        ("INSERT INTO t FORMAT JSONEachRow {}", "INSERT INTO t ", "JSONEachRow", "{}"),
        ("INSERT INTO format FORMAT CSV\n", "INSERT INTO format ", "CSV", ""),
        ("INSERT INTO t (a)", "INSERT INTO t (a)", "Values", ""),
        ("INSERT INTO `ü` FORMAT CSV\nä", "INSERT INTO `ü` ", "CSV", "ä"),
    ],
)
def test_where_data_begins(text: str, sql: str, form: str, data: str) -> None:
    statement = parse(text.encode())
    assert (statement.kind, statement.sql, statement.format) == (Kind.INSERT, sql, form)
    assert text.encode()[statement.data_start :] == data.encode()


@pytest.mark.parametrize(
    "text",
    [
        "", ";", "-- nothing", "SELECT 1; SELECT 2", "INSERT INTO t SELECT 1; DROP TABLE t", "SELECT 1 INTO OUTFILE 'x'",
        "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        "CREATE TABLE k (a Int32) ENGINE = Kafka", "ATTACH TABLE k (a Int32) ENGINE=/**/\"Kafka\"()",
        "CREATE TABLE k (a Int32) ENGINE RabbitMQ",
        "CREATE MATERIALIZED VIEW v ENGINE = NATS AS SELECT 1",
    ],
)  # fmt: skip
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ClickHouseError):
        parse(text.encode())
