"""The history into an archive."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # pyarrow ships no stubs
from clickhouse_connect.driver.client import Client

from connectors.clickhouse.archive.layout import (
    FORMAT,
    MANIFEST,
    Archive,
    ArchiveError,
    ArchiveManifest,
    DayFile,
    Spans,
    TableManifest,
    Whole,
    read,
    sha256_of,
    write,
)
from connectors.clickhouse.archive.rows import TableRows
from connectors.clickhouse.migrate import applied
from connectors.clickhouse.tables import TopicTable
from quantum.errors import DependencyError, RetryError
from quantum.revision import revision

Progress = Callable[[str, int, int], None]
"""Told the table, the rows done of it, and the rows that there are to do."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export did.

    Attributes
    ----------
    folder : str
        The archive.
    tables : dict of str to Whole
        Everything that it holds now.
    written, kept : int
        Files written now, and files that were there already and are as the store has them.
    rows_written : int
        Rows of the files written now.
    """

    folder: str
    tables: dict[str, Whole]
    written: int
    kept: int
    rows_written: int


class Exporter:
    """Writes the history, up to what each table had when the export began.

    Rows are only ever appended behind a table's end, so what lies before it does not change meanwhile. A file that is there with
    the rows that the store has is kept, so that an export that was interrupted goes on, and one that is repeated
    adds what came since. Days that the store has dropped by age since then stay in the archive.

    Parameters
    ----------
    client
        The store.
    archive
        The archive; its folder need not exist.
    cluster, topics
        Ids of the Kafka cluster, and of its topics by name.
    """

    def __init__(self, client: Client, archive: Archive, cluster: str, topics: Mapping[str, str]) -> None:
        self._client = client
        self._archive = archive
        self._cluster = cluster
        self._topics = topics
        self._written = self._kept = self._rows = 0

    def run(self, specs: Sequence[TopicTable], since: str, until: str, progress: Progress) -> Exported:
        """Export tables.

        Parameters
        ----------
        specs
            The tables.
        since, until
            First and last UTC day, ``YYYY-MM-DD``; empty for no limit.
        progress
            Told how far it is.

        Raises
        ------
        ArchiveError
            The folder holds an archive of another Kafka, or cannot be read.
        DependencyError
            The folder cannot be written.
        RetryError
            The store does not answer, or drops rows by age meanwhile: repeat it.
        """
        try:
            return self._run(specs, since, until, progress)
        except OSError as error:
            raise DependencyError(f"{self._archive.folder} cannot be written: {error}", "free space, or name another folder") from error

    def _run(self, specs: Sequence[TopicTable], since: str, until: str, progress: Progress) -> Exported:
        tables = [TableRows(self._client, spec) for spec in specs]
        before = {table.spec.part: self._before(table.spec) for table in tables}
        (self._archive.folder / MANIFEST).unlink(missing_ok=True)
        for left in self._archive.folder.glob("*/.*"):  # by an export that was killed
            left.unlink()
        ends = [table.ends() for table in tables]  # of all tables at nearly one moment
        for table, last in zip(tables, ends, strict=True):
            self._table(table, last, before[table.spec.part], since, until, progress)
        whole = {path.parent.name: self._whole(path) for path in sorted(self._archive.folder.glob(f"*/{MANIFEST}"))}
        write(
            self._archive.folder / MANIFEST,
            ArchiveManifest(
                format=FORMAT,
                revision=revision(),
                migrations=applied(self._client),
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                tables=whole,
            ),
        )
        return Exported(folder=str(self._archive.folder), tables=whole, written=self._written, kept=self._kept, rows_written=self._rows)

    def _before(self, spec: TopicTable) -> TableManifest:
        """Return what the archive has of a table; nothing where it is new."""
        topic_id = self._topics.get(spec.topic, "")
        path = self._archive.table_file(spec.part)
        new = TableManifest(table=spec.part, topic=spec.topic, cluster=self._cluster, topic_id=topic_id, columns={}, days={}, files={})
        if not path.exists():
            return new
        found = read(path, TableManifest)
        if (found.cluster, found.topic_id) != (self._cluster, topic_id):
            raise ArchiveError(f"{path.parent} is an export of another Kafka", "name another folder")
        return found

    def _table(self, table: TableRows, ends: Mapping[int, int], before: TableManifest, since: str, until: str, progress: Progress) -> None:
        name = table.spec.part
        held = table.days(ends)
        aged = {day for day, spans in before.days.items() if _fewer(held.get(day, {}), spans)}
        days = {**held, **{day: before.days[day] for day in aged}}
        made = msgspec.structs.replace(before, columns=table.columns(), days=dict(sorted(days.items())))
        wanted = [day for day in sorted(held.keys() - aged) if day >= since and (not until or day <= until)]
        total = sum(span.rows for day in wanted for span in held[day].values())
        done = 0
        write(self._archive.table_file(name), made)
        for day in wanted:
            entry = made.files.get(day)
            if entry is not None and entry.spans == held[day] and self._there(name, day, entry):
                self._kept += 1
            else:
                entry = self._write(table, day, held[day], list(made.columns))
                made = msgspec.structs.replace(made, files=dict(sorted({**made.files, day: entry}.items())))
                write(self._archive.table_file(name), made)
                self._written += 1
                self._rows += entry.rows
            done += entry.rows
            progress(name, done, total)

    def _there(self, table: str, day: str, entry: DayFile) -> bool:
        path = self._archive.file(table, day)
        return path.exists() and path.stat().st_size == entry.bytes and sha256_of(path) == entry.sha256

    def _write(self, table: TableRows, day: str, spans: Spans, names: list[str]) -> DayFile:
        """Write the file of a day, whole or not at all."""
        path = self._archive.file(table.spec.part, day)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        rows = 0
        try:
            writer: pq.ParquetWriter | None = None
            try:
                for piece in table.pieces(day, spans, names):
                    writer = writer or pq.ParquetWriter(aside, piece.schema, compression="zstd")
                    writer.write_table(piece, row_group_size=piece.num_rows)
                    rows += piece.num_rows
            finally:
                if writer is not None:
                    writer.close()
            expected = sum(span.rows for span in spans.values())
            if rows != expected:
                raise RetryError(
                    f"{table.spec.part} had {expected} rows on {day} and gives {rows}: rows expire meanwhile", "repeat the export"
                )
            entry = DayFile(bytes=aside.stat().st_size, sha256=sha256_of(aside), spans=spans)
            _sync(aside)
            aside.replace(path)
            return entry
        finally:
            aside.unlink(missing_ok=True)

    def _whole(self, path: Path) -> Whole:
        found = read(path, TableManifest)
        files = found.files.values()
        return Whole(
            sha256=sha256_of(path), rows=sum(entry.rows for entry in files), files=len(files), bytes=sum(entry.bytes for entry in files)
        )


def _fewer(now: Spans, before: Spans) -> bool:
    """Whether rows of a day are gone; a table loses rows by age only."""
    return any(partition not in now or now[partition].rows < span.rows for partition, span in before.items())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
