"""An archive into the history.

In this order, so that nothing is half imported unnoticed:

1. every file that is to be imported is compared with its checksum, and its columns with the table's;
2. what the tables have already is compared with the files, row by row where a file is there in part;
3. what would make a sink miss records is refused, see ``connectors.clickhouse.archive.admission``;
4. topics that hold nothing are made to begin behind the rows that come;
5. the missing rows are stored, day after day, a block of one partition at a time; after each file its rows are counted
   and hashed in the table.

Days that a table would drop by age at once are passed over. An import that ends in the middle may be repeated: rows that are there
are passed over. Two at once are kept apart by the caller.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow.compute as pc  # type: ignore[import-untyped]
from clickhouse_connect.driver.client import Client

from connectors.clickhouse.archive.admission import Admission, Place
from connectors.clickhouse.archive.compare import blocks, lacking_of
from connectors.clickhouse.archive.export import Progress
from connectors.clickhouse.archive.layout import Archive, ArchiveError
from connectors.clickhouse.archive.plan import Planner, TablePlan
from connectors.clickhouse.archive.rows import TableRows
from connectors.clickhouse.store import OutcomeUnknownError, RowsRefusedError, Store
from connectors.clickhouse.tables import TopicTable
from connectors.kafka.logs import Bounds, Logs
from connectors.kafka.placement import LogWriter
from quantum.errors import ConfigurationError, RetryError

log = logging.getLogger(__name__)

_ATTEMPTS = 8


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did.

    Attributes
    ----------
    rows : dict of str to int
        Rows stored now, by table.
    present : dict of str to int
        Rows of the files that the tables had already.
    expired : dict of str to int
        Rows that are older than what the tables keep, and were passed over.
    files : int
        Files that were considered.
    advanced : int
        Partitions of topics that were made to begin behind the rows.
    """

    rows: dict[str, int]
    present: dict[str, int]
    expired: dict[str, int]
    files: int
    advanced: int


class Importer:
    """Imports an archive.

    Parameters
    ----------
    client
        The store.
    archive
        The archive.
    logs
        The topics that the sinks carry.
    sink_group
        Consumer group of the sinks.
    same
        Topics that are known to be the archive's own, record by record, though their ids differ.
    now
        Tells the time, seconds since the epoch.
    """

    def __init__(
        self,
        client: Client,
        archive: Archive,
        logs: Logs,
        sink_group: str,
        same: frozenset[str] = frozenset(),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._archive = archive
        self._logs = logs
        self._sink_group = sink_group
        self._same = same
        self._planner = Planner(client, archive, now)
        self._store = Store(lambda: client)

    def run(self, specs: Sequence[TopicTable], since: str, until: str, progress: Progress, tables: Sequence[str] = ()) -> Imported:
        """Import tables.

        Parameters
        ----------
        specs
            All tables that the store should have.
        since, until
            First and last UTC day, ``YYYY-MM-DD``; empty for no limit.
        progress
            Told how far it is, table by table; first of the checks, under the name ``checking``.
        tables
            Names of the tables to import; all that the archive has where none is given.

        Raises
        ------
        ArchiveError
            A file is missing or damaged, or has a column that the table lacks; nothing has been changed.
        ConfigurationError
            The rows would collide with others, or make a sink miss records; nothing has been changed.
        RetryError
            The store or Kafka does not answer: repeat it.
        """
        plans = self._planner.plans(self._planner.chosen(specs, tables), since, until, progress)
        admission = self._admission(plans)
        if admission.barred:
            lines = "\n  ".join(admission.barred)
            raise ConfigurationError(
                f"{self._archive.folder} cannot be imported:\n  {lines}", "see docs/operations.md: import; an empty home takes any archive"
            )
        if admission.raises and self._logs.members(self._sink_group):
            raise ConfigurationError(
                f"a sink is running, and the import moves the place where it goes on in {', '.join(sorted(admission.raises))}",
                "end the sinks, then import, then start them again",
            )
        LogWriter(self._logs).advance(admission.advance)
        stored = {plan.manifest.table: self._table(plan, progress) for plan in plans}
        totals = {plan.manifest.table: sum(file.entry.rows for file in plan.files) for plan in plans}
        return Imported(
            rows=stored,
            present={table: total - stored[table] for table, total in totals.items()},
            expired={plan.manifest.table: sum(plan.manifest.files[day].rows for day in plan.expired) for plan in plans},
            files=sum(len(plan.files) for plan in plans),
            advanced=len(admission.advance),
        )

    def _admission(self, plans: list[TablePlan]) -> Admission:
        admission = Admission()
        ids = self._logs.ids([plan.manifest.topic for plan in plans])
        cluster = self._logs.cluster()
        counts = self._logs.partitions()
        places = {
            (plan.manifest.topic, partition)
            for plan in plans
            for partition in plan.partitions
            if partition < counts.get(plan.manifest.topic, 0)
        }
        bounds = self._logs.bounds(sorted(places))
        filled = {at: found.begin for at, found in bounds.items() if not found.empty}
        holding = LogWriter(self._logs).first_records(filled)
        for at in filled.keys() - holding.keys():  # only what an interrupted import has passed over
            bounds[at] = Bounds(bounds[at].end, bounds[at].end)
        for plan in plans:
            manifest, ends = plan.manifest, plan.rows.ends()
            own = manifest.cluster == cluster and ids.get(manifest.topic) == manifest.topic_id
            for partition in plan.partitions:
                place = Place(
                    manifest.table, manifest.topic, partition, ends.get(partition, -1),
                    bounds.get((manifest.topic, partition)), own or manifest.topic in self._same,
                )  # fmt: skip
                admission.consider(place, manifest.days, plan.days)
        return admission

    def _table(self, plan: TablePlan, progress: Progress) -> int:
        total = sum(file.entry.rows for file in plan.files)
        stored = done = 0
        for file in plan.files:
            spans, lacking = file.entry.spans, file.lacking
            stored += sum(spans[partition].rows - held for partition, held in lacking.items())
            for attempt in range(_ATTEMPTS):
                if not lacking:
                    break
                self._file(plan.rows, file.path, lacking, attempt)
                if self._planner.age_s(plan.rows.spec, file.day) > 0:  # its first rows may be dropped by now
                    lacking = {}
                    break
                # Read back: a block whose sender was killed may be there by now, one that was acknowledged by an engine that was
                # killed may not.
                lacking = lacking_of(plan.rows, file.path, {partition: spans[partition] for partition in lacking})
            if lacking:
                raise RetryError(f"{file.path}: the store does not keep its rows", "see quantum status, then repeat the import")
            done += file.entry.rows
            progress(plan.manifest.table, done, total)
        return stored

    def _file(self, rows: TableRows, path: Path, lacking: Mapping[int, int], attempt: int) -> None:
        """Store the rows of a file that the table lacks."""
        for block in blocks(path, None, set(lacking)):
            partition = block.column("_partition")[0].as_py()
            offsets = block.column("_offset")
            if lacking[partition]:
                there = rows.marks(partition, offsets[0].as_py(), offsets[-1].as_py())["_offset"]
                block = block.filter(pc.invert(pc.is_in(offsets, value_set=there.combine_chunks())))
                offsets = block.column("_offset")
            if not block.num_rows:
                continue
            # The table takes a token once: an import that was killed may still have the same block on its way.
            token = f"import:{rows.spec.token}{partition}:{offsets[0]}:{offsets[-1]}:{pc.sum(offsets)}:{attempt}"
            try:
                self._store.append(rows.spec, block, token)
            except OutcomeUnknownError as error:
                log.warning("%s; the table will tell", error)
            except RowsRefusedError as error:
                raise ArchiveError(
                    f"{path}: {error.message}", "a column's type has changed since: use the version that wrote the archive"
                ) from error
