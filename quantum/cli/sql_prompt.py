"""The prompt of ``quantum sql``: history, completion and statements of several lines."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import click
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError as ClientError
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory
from urllib3.exceptions import HTTPError

from connectors.clickhouse.lexer import statements, tokens
from quantum.errors import QuantumError
from quantum.settings import Settings

_HELP = r"""A statement ends with a semicolon and may have several lines; Tab completes, the arrows and Ctrl-R find earlier ones.
Ctrl-C leaves a statement, or cancels the one that runs.

  \d            the tables and views
  \d NAME       the columns of one
  \?            this text
  \q            leave (or Ctrl-D)"""
_TABLES = "SELECT name, total_rows AS rows, comment FROM system.tables WHERE database = currentDatabase() ORDER BY name"
_COLUMNS = "SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = '{}' ORDER BY position"
_NAME = re.compile(r"\w+")
_WORD = re.compile(r"[\w.]*$")
_BEFORE_TABLES = frozenset({"FROM", "JOIN", "INTO", "TABLE", "DESCRIBE", "DESC", "EXISTS"})
_KEYWORDS = (
    "SELECT", "FROM", "WHERE", "PREWHERE", "GROUP BY", "ORDER BY", "HAVING", "QUALIFY", "LIMIT", "OFFSET", "WITH", "AS", "AND", "OR", "NOT",
    "IN", "BETWEEN", "LIKE",
    "ILIKE", "IS NULL", "IS NOT NULL", "DISTINCT", "UNION ALL", "EXCEPT", "INTERSECT", "JOIN", "LEFT JOIN", "ASOF JOIN",
    "USING", "ON", "OVER", "PARTITION BY", "WINDOW",
    "FINAL", "SAMPLE", "FORMAT", "SETTINGS", "INTERVAL", "CASE", "WHEN", "THEN", "ELSE", "END",
    "SHOW TABLES", "SHOW CREATE TABLE", "DESCRIBE TABLE", "EXPLAIN", "ASC", "DESC", "ARRAY JOIN",
    "WITH TOTALS", "WITH FILL",
)  # fmt: skip


def is_complete(text: str) -> bool:
    """Whether Enter runs what is typed: nothing, a command, or statements of which the last has its semicolon."""
    stripped = text.strip()
    if not stripped or stripped.startswith("\\") or stripped.lower() in ("quit", "exit"):
        return True
    last = None
    for token in tokens(text):
        last = token
    return last is not None and last.kind == "sign" and last.text == ";"


@dataclass(slots=True)
class Names:
    """What can be completed.

    Attributes
    ----------
    tables
        Tables and views, with their columns: name to type.
    functions
        Functions.
    """

    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)


class NamesCompleter(Completer):
    """Completes tables, columns, functions and keywords, each where it may stand.

    Parameters
    ----------
    load
        Asks the store for the names; called when they are first wanted, and again after ``forget``.
    """

    def __init__(self, load: Callable[[], Names]) -> None:
        self._load = load
        self._names: Names | None = None

    def forget(self) -> None:
        """Ask for the names again when they are next wanted."""
        self._names = None

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield what could follow."""
        found = _WORD.search(document.text_before_cursor)
        word = found[0] if found else ""
        if not word and not complete_event.completion_requested:
            return
        if self._names is None:
            self._names = self._load()
        names = self._names
        before = [
            token for token in tokens(document.text_before_cursor[: len(document.text_before_cursor) - len(word)]) if token.kind != "string"
        ]
        mentioned = {token.name for token in tokens(document.text)}
        qualifier, dot, stem = word.rpartition(".")
        if dot and qualifier in names.tables:
            offered = list(names.tables[qualifier].items())
        elif before and before[-1].keyword in _BEFORE_TABLES:
            stem, offered = word, [(table, "table") for table in names.tables]
        else:
            stem = word
            offered = [pair for table in names.tables if table in mentioned for pair in names.tables[table].items()]
            offered += [(table, "table") for table in names.tables]
            offered += [(name, "function") for name in names.functions] if stem else []
            offered += [(name, "") for name in _KEYWORDS]
        seen = set[str]()
        for name, meta in offered:
            if name.lower().startswith(stem.lower()) and name not in seen:
                seen.add(name)
                yield Completion(name, start_position=-len(stem), display_meta=meta)


class Prompt:
    """Reads statements from the terminal and runs them.

    Parameters
    ----------
    client
        The store.
    settings
        For the file of the history, which is in the platform's home.
    run
        Runs one statement and writes its answer.
    """

    def __init__(self, client: Client, settings: Settings, run: Callable[[str], None]) -> None:
        self._client = client
        self._run = run
        self._completer = NamesCompleter(self._names)
        history = settings.folders.root / "sql_history"
        history.parent.mkdir(parents=True, exist_ok=True)
        history.touch(mode=0o600)  # statements may name what is nobody else's business
        self._session: PromptSession[str] = PromptSession(
            "quantum> ",
            history=FileHistory(str(history)),
            completer=self._completer,
            complete_in_thread=True,
            complete_while_typing=False,
            multiline=Condition(lambda: not is_complete(get_app().current_buffer.text)),
            prompt_continuation=lambda width, _line, _wrapped: "-> ".rjust(width),
        )

    def loop(self) -> None:
        r"""Read and run until ``\q`` or the end of the input."""
        click.echo(r"ClickHouse SQL. \d lists the tables, \? helps, \q leaves.", err=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started it in the background had it ignored
        while True:
            try:
                text = self._session.prompt().strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if text.lower().rstrip(";") in ("\\q", "quit", "exit"):
                return
            try:
                self._answer(text)
            except KeyboardInterrupt:
                click.echo("cancelled", err=True)
            except QuantumError as error:
                click.secho(f"error: {error}", fg="red", err=True)

    def _answer(self, text: str) -> None:
        command, _, argument = text.rstrip(";").partition(" ")
        if command == "\\d" and _NAME.fullmatch(argument.strip()):
            self._run(_COLUMNS.format(argument.strip()))
        elif command == "\\d" and not argument:
            self._run(_TABLES)
        elif text.startswith("\\"):
            click.echo(_HELP)
        else:
            for statement in statements(text):
                self._run(statement)
                if statement.split(None, 1)[0].upper() in ("CREATE", "DROP", "ALTER", "RENAME"):
                    self._completer.forget()

    def _names(self) -> Names:
        names = Names()
        try:
            sql = "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() ORDER BY table, position"
            for table, column, kind in self._client.query(sql).result_rows:
                names.tables.setdefault(table, {})[column] = kind
            names.functions = [row[0] for row in self._client.query("SELECT name FROM system.functions ORDER BY name").result_rows]
        except (ClientError, HTTPError, OSError):
            return Names()  # completion is a convenience: the next statement says what is wrong
        return names
