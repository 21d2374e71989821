"""When Enter runs a statement, and what completes."""

from __future__ import annotations

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from connectors.clickhouse.lexer import statements
from quantum.cli.sql_prompt import Names, NamesCompleter, is_complete

NAMES = Names({"trades": {"symbol": "String", "price": "Float64"}, "ticks": {"symbol": "String", "size": "Float64"}}, ["sum", "symmetric"])


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", True), ("\\q", True), ("exit", True), ("SELECT 1", False), ("SELECT 1;", True), ("SELECT 1; -- done", True),
        ("SELECT ';", False),
        ("SELECT ';'", False), ("SELECT 1 -- ;", False), ("SELECT 1 /* ; */", False), ("SELECT $a$;", True), ("SELECT $a$ ; $a$", False),
        ("SELECT 1; SELECT 2", False), ("SELECT\n1\n;\n", True),
    ],
)  # fmt: skip
def test_enter_runs_what_is_complete(text: str, complete: bool) -> None:
    assert is_complete(text) is complete


def offered(text: str, cursor: int | None = None) -> list[str]:
    completer = NamesCompleter(lambda: NAMES)
    return [each.text for each in completer.get_completions(Document(text, cursor), CompleteEvent(completion_requested=True))]


def test_what_completes_where() -> None:
    assert offered("SELECT * FROM t") == ["trades", "ticks"]
    assert offered("SELECT * FROM ") == ["trades", "ticks"]
    assert offered("SELECT trades.") == ["symbol", "price"]
    assert offered("SELECT trades.pr") == ["price"]
    assert offered("SELECT s FROM trades", len("SELECT s")) == [
        "symbol",
        "sum",
        "symmetric",
        "SELECT",
        "SAMPLE",
        "SETTINGS",
        "SHOW TABLES",
        "SHOW CREATE TABLE",
    ]
    assert offered("SELECT 'FROM' || t") == ["trades", "ticks", "THEN"]


def test_names_are_asked_for_again_after_a_change() -> None:
    asked: list[int] = []

    def load() -> Names:
        asked.append(1)
        return NAMES

    completer = NamesCompleter(load)
    for _ in range(2):
        list(completer.get_completions(Document("s"), CompleteEvent()))
    completer.forget()
    list(completer.get_completions(Document("s"), CompleteEvent()))
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT 1", ["SELECT 1"]), ("SELECT 1;", ["SELECT 1"]), (";;", []), ("-- x", []),
        ("SELECT ';'; SELECT 2 ;", ["SELECT ';'", "SELECT 2"]),
        ("SELECT 1 AS a$b$; SELECT 2", ["SELECT 1 AS a$b$", "SELECT 2"]), ("SELECT $a$; SELECT 2", ["SELECT $a$", "SELECT 2"]),
        ("SELECT $a b$ ; $a b$; SELECT 2", ["SELECT $a b$ ; $a b$", "SELECT 2"]),
    ],
)  # fmt: skip
def test_statements_are_split_as_the_engine_splits_them(text: str, found: list[str]) -> None:
    assert list(statements(text)) == found
