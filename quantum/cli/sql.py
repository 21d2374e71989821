"""``quantum sql``: query the history."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError as ClientError
from rich.console import Console
from rich.table import Table
from urllib3.exceptions import HTTPError

from connectors.clickhouse.client import connect
from connectors.clickhouse.server.errors import ClickHouseError
from connectors.clickhouse.server.statement import Kind, Statement, parse
from quantum.errors import ConfigurationError, QuantumError, RetryError
from quantum.settings import load

FORMATS = {
    "csv": "CSVWithNames", "json": "JSON", "jsonl": "JSONEachRow", "tsv": "TSVWithNames", "markdown": "Markdown", "parquet": "Parquet",
}  # fmt: skip
SHOWN_ROWS = 500
_BINARY = frozenset({"parquet", "native", "rowbinary", "arrow", "arrowstream", "avro", "orc", "msgpack", "npy", "bsoneachrow"})
_CHUNK = 65_536
_TOO_LARGE = 396
_LONGEST_S = 3_600
_NUMBERS = ("Int", "UInt", "Float", "Decimal", "Nullable(Int", "Nullable(UInt", "Nullable(Float", "Nullable(Decimal")

HELP = """Query the history with ClickHouse's SQL.

QUERY is one statement; without it, it is read from the standard input, and on a terminal there is a prompt with history
and completion, where a statement ends with a semicolon.

\b
quantum sql "SHOW TABLES"
quantum sql "SELECT * FROM v_bars(seconds = 60) WHERE symbol = 'BTCUSDT' LIMIT 10"
quantum sql "SELECT * FROM trade_closed" --format csv > trades.csv
quantum sql "SELECT * FROM market_tick" --format parquet --output ticks.parquet
"""


class QueryError(QuantumError):
    """The history store refuses a statement."""


@click.command("sql", help=HELP)
@click.argument("query", required=False)
@click.option("--format", "form", type=click.Choice(["table", *FORMATS]), default="table", show_default=True, help="How rows are written.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File that the rows go to, instead of the standard output."
)
@click.option("--database", default="quantum", show_default=True, help="Database of unqualified names.")
@click.option(
    "--seconds", type=click.IntRange(min=1, max=_LONGEST_S), help="Longest time a query may take; the store has a limit of its own."
)
def sql(query: str | None, form: str, output: Path | None, database: str, seconds: int | None) -> None:
    """Query the history with ClickHouse's SQL."""
    settings = load()
    client = connect(settings, database=database, timeout_s=_LONGEST_S)
    if seconds is not None:
        client.set_client_setting("max_execution_time", seconds)
    try:
        if query is None and sys.stdin.isatty():
            from quantum.cli.sql_prompt import Prompt  # a tenth of a second: only where there is a terminal

            Prompt(client, settings, lambda statement: run(client, statement, form, output)).loop()
        else:
            run(client, sys.stdin.read() if query is None else query, form, output)
    finally:
        client.close()


def run(client: Client, query: str, form: str = "table", output: Path | None = None) -> None:
    """Run one statement and write what it answers.

    Parameters
    ----------
    client
        The store.
    query
        The statement.
    form
        ``table`` or a key of ``FORMATS``; a statement that names a FORMAT itself is written as it asks.
    output
        Where to; it is there whole or not at all. None for the standard output.

    Raises
    ------
    QueryError
        The store refuses it; the message is ClickHouse's own.
    RetryError
        The store does not answer.
    ConfigurationError
        The rows would be bytes on a terminal, or the file cannot be written.
    """
    try:
        statement = parse(query.encode("utf-8", "surrogateescape"))
        if statement.kind is not Kind.READ:
            _change(client, query)
        elif form == "table" and statement.format is None:
            _table(client, statement, output)
        else:
            _rows(client, statement, form, output)
    except ClickHouseError as error:
        raise QueryError(error.message) from error
    except (ClientError, HTTPError, ConnectionRefusedError, ConnectionResetError, TimeoutError) as error:
        code = getattr(error, "code", None)
        if code is None:
            raise RetryError(f"the history store does not answer: {error}", "quantum up; see quantum status") from error
        raise QueryError(
            _message(error), "ask for fewer rows, or for --format jsonl, which has no limit" if code == _TOO_LARGE else ""
        ) from error


def _change(client: Client, query: str) -> None:
    answer = client.command(query.strip().rstrip(";"))
    written = answer.summary.get("written_rows", "0") if hasattr(answer, "summary") else "0"
    click.echo(f"Ok. {written} rows written." if written != "0" else "Ok.", err=True)


def _rows(client: Client, statement: Statement, form: str, output: Path | None) -> None:
    """Write the rows as they come."""
    named = statement.format or FORMATS[form]
    if output is None and named.lower() in _BINARY and sys.stdout.isatty():
        raise ConfigurationError(f"{named} is not for a terminal", "write it to a file: --output FILE")
    with _sink(output) as sink, client.raw_stream(statement.sql, fmt=None if statement.format else named) as answer:
        while chunk := answer.read(_CHUNK):
            sink.write(chunk)


@contextmanager
def _sink(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        stream = click.get_binary_stream("stdout")
        yield stream
        stream.flush()
        return
    aside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            yield file
        aside.replace(output)
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written: {error}", "choose another file with --output") from error
    finally:
        aside.unlink(missing_ok=True)


def _table(client: Client, statement: Statement, output: Path | None) -> None:
    started = time.perf_counter()
    answer = json.loads(client.raw_query(statement.sql, fmt="JSONCompact"))
    seconds = time.perf_counter() - started
    rows: list[list[Any]] = answer["data"]
    table = Table(show_edge=False, header_style="bold")
    for column in answer["meta"]:
        table.add_column(column["name"], justify="right" if column["type"].startswith(_NUMBERS) else "left", overflow="fold")
    shown = rows if output else rows[:SHOWN_ROWS]
    for row in shown:
        table.add_row(*("" if cell is None else cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False) for cell in row))
    if output:
        with _sink(output) as sink:
            console = Console(file=None, width=10_000, color_system=None)
            with console.capture() as text:
                console.print(table)
            sink.write(text.get().encode())
        return
    console = Console()
    console.print(table)
    hidden = f", {SHOWN_ROWS} shown; --format csv has all" if len(rows) > SHOWN_ROWS else ""
    console.print(f"{len(rows)} rows{hidden} in {seconds:.3f} s", style="dim")


def _message(error: Exception) -> str:
    """Return ClickHouse's own text of an error."""
    text = str(error)
    start = text.find("Code: ")
    return text[start:].split(" (for url")[0] if start >= 0 else text
