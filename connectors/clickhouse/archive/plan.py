"""What an import has to do, file by file: found out before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from clickhouse_connect.driver.client import Client

from connectors.clickhouse.archive.compare import lacking_of
from connectors.clickhouse.archive.export import Progress
from connectors.clickhouse.archive.layout import Archive, ArchiveError, DayFile, TableManifest, damaged
from connectors.clickhouse.archive.rows import MARKED, TableRows
from connectors.clickhouse.tables import TopicTable

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What is to be done for one file.

    Attributes
    ----------
    day, entry
        The file.
    path
        Where it is.
    lacking
        Partitions of which the table lacks rows, and how many of them it has.
    """

    day: str
    entry: DayFile
    path: Path
    lacking: dict[int, int]


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What is to be done for one table; ``expired`` are the days that it would drop by age."""

    rows: TableRows
    manifest: TableManifest
    files: list[FilePlan]
    expired: list[str]

    @property
    def days(self) -> list[str]:
        """All of its days."""
        return [*self.expired, *(file.day for file in self.files)]

    @property
    def partitions(self) -> list[int]:
        """The partitions that its rows are of."""
        return sorted({partition for day in self.days for partition in self.manifest.files[day].spans})


class Planner:
    """Compares an archive with a store.

    Parameters
    ----------
    client
        The store.
    archive
        The archive.
    now
        Tells the time, seconds since the epoch.
    """

    def __init__(self, client: Client, archive: Archive, now: Callable[[], float]) -> None:
        self._client = client
        self._archive = archive
        self._now = now

    def chosen(self, specs: Sequence[TopicTable], tables: Sequence[str]) -> list[TopicTable]:
        """Return the tables of those names, or all that the archive has; raises ArchiveError where one is not there."""
        known = {spec.part: spec for spec in specs}
        whole = self._archive.manifest().tables
        wanted = list(tables) or list(whole)
        for names, has_not in ((whole, f"{self._archive.folder} has"), (known, "this version has")):
            missing = [name for name in wanted if name not in names]
            if missing:
                raise ArchiveError(f"{has_not} no table {', '.join(missing)}", "name others with --table, or use the version that wrote it")
        return [known[name] for name in wanted]

    def plans(self, specs: Sequence[TopicTable], since: str, until: str, progress: Progress) -> list[TablePlan]:
        """Compare files with their checksums and with what the tables have.

        Raises
        ------
        ArchiveError
            A file is missing or damaged, or has a column that its table lacks.
        ConfigurationError
            A table has another row at the place of one of a file.
        RetryError
            The store does not answer.
        """
        whole = self._archive.manifest().tables
        chosen: list[tuple[TableRows, TableManifest, list[str]]] = []
        for spec in specs:
            manifest = self._archive.table(spec.part, whole[spec.part])
            days = [day for day in sorted(manifest.files) if day >= since and (not until or day <= until)]
            chosen.append((TableRows(self._client, spec), manifest, days))
        total = sum(manifest.files[day].rows for _, manifest, days in chosen for day in days)
        done = 0
        for rows, manifest, days in chosen:
            names = rows.columns()
            for day in days:
                self._archive.check(manifest.table, day, manifest.files[day])
                self._fits(self._archive.file(manifest.table, day), manifest.table, names)
                done += manifest.files[day].rows
                progress("checking", done, total)
        plans = []
        for rows, manifest, days in chosen:
            expired = [day for day in days if self.age_s(rows.spec, day) >= _DAY_S]
            files = self._files(rows, manifest, [day for day in days if day not in expired])
            plans.append(TablePlan(rows, manifest, files, expired))
        return plans

    def age_s(self, spec: TopicTable, day: str) -> float:
        """Return how long ago the first moment of a day became older than what a table keeps, seconds; below 0 while it has not."""
        if spec.retention_ms is None:
            return -1.0
        return self._now() - datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() - spec.retention_ms / 1000

    def _fits(self, path: Path, table: str, names: Mapping[str, str]) -> None:
        """Refuse a file with columns that the table lacks; the table's other columns get their defaults."""
        try:
            found = pq.read_schema(path).names
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, str(error)) from error
        unknown = [name for name in found if name not in names]
        if unknown:
            raise ArchiveError(
                f"{path} has columns that {table} lacks: {', '.join(unknown)}",
                "bring the table to the version that wrote the file: quantum schemas apply, with that version or a later one",
            )
        missing = [name for name in MARKED if name not in found]
        if missing:
            raise damaged(path, f"it lacks {', '.join(missing)}")

    def _files(self, rows: TableRows, manifest: TableManifest, days: list[str]) -> list[FilePlan]:
        ends = rows.ends()
        plans = []
        for day in days:
            entry, path = manifest.files[day], self._archive.file(manifest.table, day)
            beyond = {partition: 0 for partition, span in entry.spans.items() if ends.get(partition, -1) < span.first}
            within = {partition: span for partition, span in entry.spans.items() if partition not in beyond}
            plans.append(FilePlan(day, entry, path, beyond | lacking_of(rows, path, within)))
        return plans
