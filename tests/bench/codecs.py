"""Bytes a row of ticks and quotes by codec, on the recorded frames: ``python -m tests.bench.codecs``.

Each column is stored once for each codec that may suit it, in the order and among the neighbours that its table has, and
measured after a merge into one part. ``QUANTUM_DATA`` names the folder that has ``binance_raw``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clickhouse_connect.driver.client import Client

from connectors.clickhouse import migrate
from connectors.clickhouse.columns import Column, columns
from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from processors.topology import TOPICS
from tests.integration.history_process import StoreProcess
from tests.integration.history_rows import Row, store
from tests.unit.market.frames import DATA, recorded

MEASURED = ("market.tick", "market.quote")
GENERAL = ("LZ4", "ZSTD(1)", "ZSTD(3)")
NUMBERS = (*GENERAL, "Delta, ZSTD(1)", "DoubleDelta, ZSTD(1)", "T64, ZSTD(1)")
FLOATS = (*GENERAL, "Gorilla, ZSTD(1)", "FPC, ZSTD(1)", "Delta, ZSTD(1)")
DAY_US = 86_400_000_000


def candidates(column: Column) -> tuple[str, ...]:
    """Return the codecs that a column is measured with."""
    if column.kind.startswith("Float64"):
        return FLOATS
    return NUMBERS if column.kind.startswith(("DateTime", "Int", "UInt")) else GENERAL


def recorded_rows(files: list[Path], shift_us: int) -> Iterator[tuple[str, Row]]:
    """Yield topic and row of every tick and quote; Kafka has each 2 ms after its frame came, and its time is shifted.

    The shift is for the month that the table keeps; differences of times, which codecs work on, stay as they were.
    """
    rules = Rules()
    for path in files:
        state = VenueState()
        for frame in recorded(path):
            for output in on_frame(rules, state, frame):
                if output.topic in MEASURED:
                    yield output.topic, Row(output.record, frame.ingest_ts + shift_us + 2_000, frame.event_id)


def measure(client: Client, topic: str) -> tuple[int, list[tuple[str, str, dict[str, float]]]]:
    """Return a table's rows, and by column its codec and the bytes a row of every candidate."""
    table = TOPICS[topic].table
    order = str(client.command(f"SELECT sorting_key FROM system.tables WHERE database = 'quantum' AND name = '{table}'"))
    rows = int(str(client.command(f"SELECT count() FROM {table}")))
    measured = []
    for column in columns(TOPICS[topic].record):
        codecs = candidates(column)
        copies = ", ".join(f"c{number} {column.kind} CODEC({codec})" for number, codec in enumerate(codecs))
        keys = ", ".join(f"{key} {kind}" for key, kind in client.query(_KEYS_SQL, {"table": table}).result_rows)
        client.command(
            f"CREATE OR REPLACE TABLE codecs ({keys}, {copies}) ENGINE = MergeTree ORDER BY ({order}) SETTINGS min_bytes_for_wide_part = 0"
        )
        values = ", ".join(f"`{column.name}` AS c{number}" for number in range(len(codecs)))
        names = ", ".join(f"c{number}" for number in range(len(codecs)))
        client.command(f"INSERT INTO codecs ({order}, {names}) SELECT {order}, {values} FROM {table}")
        client.command("OPTIMIZE TABLE codecs FINAL")
        sizes = {str(name): int(size) for name, size in client.query(_SIZES_SQL).result_rows}
        measured.append((column.name, column.codec or "LZ4", {codec: sizes[f"c{n}"] / rows for n, codec in enumerate(codecs)}))
    client.command("DROP TABLE codecs SYNC")
    return rows, measured


_SIZES_SQL = "SELECT name, data_compressed_bytes FROM system.columns WHERE database = 'quantum' AND table = 'codecs'"
_KEYS_SQL = "SELECT name, type FROM system.columns WHERE database = 'quantum' AND table = {table:String} AND is_in_sorting_key"


def main() -> int:
    """Measure and print the tables as Markdown."""
    files = sorted(DATA.glob("*/*.gz"))
    if not files:
        print(f"no recorded frames in {DATA}; set QUANTUM_DATA", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        process = StoreProcess(Path(folder)).start()
        try:
            opened = process.client("default")
            migrate.apply(opened)
            opened.close()
            client = process.client()
            report(client, files)
            client.close()
        finally:
            process.stop()
    return 0


def report(client: Client, files: list[Path]) -> None:
    """Store the recorded rows and print what they take."""
    now_us = int(str(client.command("SELECT toUnixTimestamp(now())"))) * 1_000_000
    first = next(recorded(files[0])).ingest_ts
    kept: dict[str, list[Row]] = {topic: [] for topic in MEASURED}
    for topic, row in recorded_rows(files, now_us - DAY_US - first):
        kept[topic].append(row)
    for topic, rows in kept.items():
        table = TOPICS[topic].table
        store(client, topic, sorted(rows, key=lambda row: row.at_us))
        client.command(f"OPTIMIZE TABLE {table} FINAL")
        size = int(str(client.command(f"SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = '{table}'")))
        count, measured = measure(client, topic)
        print(f"\n{table}: {count:,} rows, {size / count:.1f} bytes a row on disk with indices and projection\n")
        print("| column | codec in use | bytes a row by codec |\n|---|---|---|")
        for name, codec, sizes in measured:
            told = ", ".join(f"{each} {sizes[each]:.2f}" for each in sorted(sizes, key=lambda each: sizes[each]))
            print(f"| `{name}` | {codec} | {told} |")


if __name__ == "__main__":
    sys.exit(main())
