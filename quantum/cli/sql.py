"""``quantum sql``: query the history."""

from __future__ import annotations

import json
import readline
import sys
from typing import Any

import click
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError as ClientError
from rich.console import Console
from rich.table import Table
from urllib3.exceptions import HTTPError

from connectors.clickhouse.client import connect
from connectors.clickhouse.server.errors import ClickHouseError
from connectors.clickhouse.server.statement import Kind, Statement, parse
from quantum.errors import QuantumError, RetryError
from quantum.settings import Settings, load

FORMATS = {"csv": "CSVWithNames", "json": "JSON", "jsonl": "JSONEachRow", "tsv": "TSVWithNames", "markdown": "Markdown"}
SHOWN_ROWS = 500
_CHUNK = 65_536
_NUMBERS = ("Int", "UInt", "Float", "Decimal", "Nullable(Int", "Nullable(UInt", "Nullable(Float", "Nullable(Decimal")


class QueryError(QuantumError):
    """The history store refuses a statement."""


@click.command("sql")
@click.argument("query", required=False)
@click.option("--format", "form", type=click.Choice(["table", *FORMATS]), default="table", show_default=True, help="How rows are written.")
@click.option("--database", default="quantum", show_default=True, help="Database of unqualified names.")
@click.option("--seconds", type=click.IntRange(min=1), default=300, show_default=True, help="Longest time a query may take.")
def sql(query: str | None, form: str, database: str, seconds: int) -> None:
    r"""Query the history with ClickHouse's SQL.

    QUERY is one statement; without it, statements are read from the standard input, on a terminal line by line.

    \b
    quantum sql "SHOW TABLES"
    quantum sql "SELECT * FROM v_bars(seconds = 60) WHERE symbol = 'BTCUSDT' LIMIT 10"
    quantum sql "SELECT * FROM trade_closed" --format csv > trades.csv
    """
    settings = load()
    client = connect(settings, database=database, timeout_s=seconds)
    client.set_client_setting("max_execution_time", seconds)
    try:
        if query is not None:
            run(client, query, form)
        elif sys.stdin.isatty():
            prompt(client, settings, form)
        else:
            run(client, sys.stdin.read(), form)
    finally:
        client.close()


def run(client: Client, query: str, form: str) -> None:
    """Run one statement and write what it answers.

    Parameters
    ----------
    client
        The store.
    query
        The statement.
    form
        ``table`` or a key of ``FORMATS``; a statement that names a FORMAT itself is written as it asks.

    Raises
    ------
    QueryError
        The store refuses it; the message is ClickHouse's own.
    RetryError
        The store does not answer.
    """
    try:
        statement = parse(query.encode())
        if statement.kind is not Kind.READ:
            _change(client, query)
        elif form == "table" and statement.format is None:
            _table(client, statement, Console())
        else:
            with client.raw_stream(statement.sql, fmt=None if statement.format else FORMATS[form]) as answer:
                while chunk := answer.read(_CHUNK):
                    click.get_binary_stream("stdout").write(chunk)
            click.get_binary_stream("stdout").flush()
    except ClickHouseError as error:
        raise QueryError(error.message) from error
    except (ClientError, HTTPError, OSError) as error:
        if getattr(error, "code", None) is None:
            raise RetryError(f"the history store does not answer: {error}", "quantum up; see quantum status") from error
        raise QueryError(_message(error)) from error


def prompt(client: Client, settings: Settings, form: str) -> None:
    """Read statements from the terminal until end of file; a statement ends with its line or, over several lines, with a semicolon."""
    history = settings.folders.root / "sql_history"
    if history.exists():
        readline.read_history_file(history)
    click.echo("ClickHouse SQL; end with Ctrl-D. SHOW TABLES lists what there is.", err=True)
    while True:
        try:
            line = input("quantum> ").strip()
        except (EOFError, KeyboardInterrupt):
            click.echo(err=True)
            break
        if line:
            try:
                run(client, line, form)
            except QuantumError as error:
                click.echo(f"error: {error}", err=True)
    history.parent.mkdir(parents=True, exist_ok=True)
    readline.write_history_file(history)


def _change(client: Client, query: str) -> None:
    answer = client.command(query.strip().rstrip(";"))
    written = answer.summary.get("written_rows", "0") if hasattr(answer, "summary") else "0"
    click.echo(f"Ok. {written} rows written." if written != "0" else "Ok.", err=True)


def _table(client: Client, statement: Statement, console: Console) -> None:
    answer = json.loads(client.raw_query(statement.sql, fmt="JSONCompact"))
    rows: list[list[Any]] = answer["data"]
    table = Table(show_edge=False, header_style="bold")
    for column in answer["meta"]:
        table.add_column(column["name"], justify="right" if column["type"].startswith(_NUMBERS) else "left", overflow="fold")
    for row in rows[:SHOWN_ROWS]:
        table.add_row(*("" if cell is None else cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False) for cell in row))
    console.print(table)
    hidden = f", {SHOWN_ROWS} shown; --format csv has all" if len(rows) > SHOWN_ROWS else ""
    console.print(f"{len(rows)} rows{hidden}", style="dim")


def _message(error: Exception) -> str:
    """Return ClickHouse's own text of an error."""
    text = str(error)
    start = text.find("Code: ")
    return text[start:].split(" (for url")[0] if start >= 0 else text
