"""What a table lacks of a file's rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from connectors.clickhouse.archive.layout import Spans, damaged
from connectors.clickhouse.archive.rows import MARKED, TableRows
from quantum.errors import ConfigurationError

BLOCK_ROWS = 100_000
"""Rows of one insert; far below the million at which the engine splits a block."""


def lacking_of(rows: TableRows, path: Path, spans: Spans) -> dict[int, int]:
    """Return the partitions of a file of which the table lacks rows, and how many of them it has."""
    held = rows.within(spans) if spans else {}
    lacking = {}
    for partition, span in spans.items():
        if partition not in held:
            lacking[partition] = 0
        elif (held[partition].rows, held[partition].mark) != (span.rows, span.mark):
            there = _present(rows, path, partition)
            if there < span.rows:
                lacking[partition] = there
    return lacking


def _present(rows: TableRows, path: Path, partition: int) -> int:
    """Return how many of a file's rows of a partition the table has; refuses another row at the place of one of them."""
    count = 0
    for block in blocks(path, [*MARKED], {partition}):
        offsets = block.column("_offset")
        first, last = offsets[0].as_py(), offsets[-1].as_py()
        held = rows.marks(partition, first, last)
        held = held.filter(pc.is_in(held["_offset"].combine_chunks(), value_set=offsets)).combine_chunks()
        mine = pa.Table.from_batches([block.filter(pc.is_in(offsets, value_set=held["_offset"].combine_chunks()))])
        if not mine.select(held.schema.names).cast(held.schema).combine_chunks().equals(held):
            raise ConfigurationError(
                f"{path}: {rows.spec.table} has other rows at offsets {first} to {last} of partition {partition}: they are of another "
                "Kafka, or stand there twice",
                "import into an empty home",
            )
        count += held.num_rows
    return count


def blocks(path: Path, names: list[str] | None, partitions: set[int]) -> Iterator[pa.RecordBatch]:
    """Give the rows of some partitions of a file, a block of one partition at a time.

    Raises
    ------
    ArchiveError
        The file is no Parquet that can be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                for batch in file.read_row_group(group, columns=names).to_batches(max_chunksize=BLOCK_ROWS):
                    runs = pc.run_end_encode(batch.column("_partition"))
                    start = 0
                    for end, partition in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
                        if partition in partitions:
                            yield batch.slice(start, end - start)
                        start = end
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, str(error)) from error
