"""``quantum history export | import``: the history as Parquet files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from connectors.clickhouse.archive.export import Exporter
from connectors.clickhouse.archive.layout import Archive
from connectors.clickhouse.archive.load import Importer
from connectors.clickhouse.client import connect
from connectors.clickhouse.tables import TopicTable
from connectors.kafka.logs import Logs
from infra.clickhouse.generate import carried
from infra.components.history import GROUP
from infra.local.lock import file_lock
from quantum.errors import ConfigurationError
from quantum.settings import Settings, load

Told = Callable[[str, int, int], None]
LOCK_S = 1.0
_FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
_TABLES = click.option("--table", "tables", multiple=True, metavar="TABLE", help="Only this table; may be repeated.")
_SINCE = click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day, UTC, by Kafka's time of the record.")
_UNTIL = click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day, UTC.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Write a summary as JSON.")


@click.command("export")
@_FOLDER
@_TABLES
@_SINCE
@_UNTIL
@_JSON
def export_files(folder: Path, tables: tuple[str, ...], since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Write the history to FOLDER, a Parquet file a table and day, with checksums.

    Repeat it to go on where it was interrupted, or to add what has come since: files that are as the history is are kept.
    """
    settings = load()
    chosen = _chosen(tables)
    logs = Logs(settings.kafka)
    with closing(connect(settings)) as client, progress() as tell:
        exporter = Exporter(client, Archive(folder), logs.cluster(), logs.ids([spec.topic for spec in chosen]))
        done = exporter.run(chosen, _day(since), _day(until), tell)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(done), indent=2).decode())
        return
    click.echo(f"{done.rows_written:,} rows in {done.written} files written to {folder}, {done.kept} files kept")


@click.command("import")
@_FOLDER
@_TABLES
@_SINCE
@_UNTIL
@_JSON
def import_files(folder: Path, tables: tuple[str, ...], since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Store what 'quantum history export' wrote to FOLDER; rows that are there already are left as they are.

    Everything is checked before anything is stored, and what would make a sink miss records is refused.
    Repeat it where it was interrupted.
    """
    settings = load()
    names = [spec.part for spec in _chosen(tables)] if tables else []
    with import_lock(settings), closing(connect(settings)) as client, progress() as tell:
        done = Importer(client, Archive(folder), Logs(settings.kafka), GROUP).run(carried(), _day(since), _day(until), tell, names)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(done), indent=2).decode())
        return
    click.echo(f"{sum(done.rows.values()):,} rows stored from {folder}, {sum(done.present.values()):,} were there already")
    if expired := sum(done.expired.values()):
        click.echo(f"{expired:,} rows are older than what their tables keep, and were passed over: read the files themselves", err=True)


def _chosen(tables: tuple[str, ...]) -> list[TopicTable]:
    every = carried()
    known = {spec.table for spec in every} | {spec.part for spec in every}
    unknown = [name for name in tables if name not in known]
    if unknown:
        raise ConfigurationError(
            f"there is no table {', '.join(unknown)}", f"the tables are {', '.join(dict.fromkeys(spec.table for spec in every))}"
        )
    return [spec for spec in every if not tables or spec.table in tables or spec.part in tables]


@contextmanager
def import_lock(settings: Settings) -> Iterator[None]:
    """Keep other imports into this home out."""
    with file_lock(settings.folders.run / "history-import.lock", timeout_s=LOCK_S):
        yield


@contextmanager
def progress() -> Iterator[Told]:
    """Give what is told how far long work is: bars on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done)

        yield tell


def _day(value: datetime | None) -> str:
    return "" if value is None else f"{value:%Y-%m-%d}"
