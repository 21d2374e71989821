"""Greatest memory of the sink, an export and an import, by the rows that they have to do: ``python -m tests.bench.memory ROWS...``.

Each size has a home of its own: its ticks wait on the topic, a sink carries them, the table is exported, emptied, and imported again.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import click
from confluent_kafka import Producer

from connectors.kafka.config import client_config
from processors.components import registry
from processors.topology import TOPICS
from quantum.trace import caused_headers
from schemas.codec import RecordCodec
from tests.bench.feed import send
from tests.bench.ticks import ticks
from tests.integration.platforms import PARTITIONS, Platform

TOPIC = TOPICS["market.tick"]
DIFFERENT = 100_000
"""Ticks that are made; more are the same ones again."""
_MB = 1_000_000
_LIMIT_S = 400.0


def feed(platform: Platform, rows: int) -> None:
    """Write ticks to the topic."""
    with registry(platform.settings) as ids:
        codec = RecordCodec(TOPIC.subject, TOPIC.record, ids)
        made = [(codec.encode(each), caused_headers(each.event_id, "cause", {})) for each in ticks(min(rows, DIFFERENT))]
    producer = Producer(client_config(platform.settings.kafka, enable_idempotence=True, linger_ms=20, compression_type="lz4"))
    for number in range(rows):
        value, headers = made[number % len(made)]
        send(producer, TOPIC.name, value, "k", number % PARTITIONS, headers)
    producer.flush()


def count(platform: Platform) -> int:
    """Return the rows of the table."""
    return int(str(platform.client.command(f"SELECT count() FROM {TOPIC.table}")))


def peak(pid: int) -> int:
    """Return the greatest resident size that a process has had, bytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def carried(platform: Platform, rows: int) -> tuple[int, float]:
    """Run a sink until the table has all rows; returns its greatest size, bytes, and the seconds."""
    started = time.monotonic()
    command = ["component", "sink"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(platform.command(*command), env=platform.whole_environment(), stdout=said, stderr=said)
        try:
            while count(platform) < rows:
                if process.poll() is not None or time.monotonic() - started > _LIMIT_S:
                    said.seek(0)
                    raise RuntimeError(f"the sink does not carry all rows: {said.read().decode()[-2_000:]}")
                time.sleep(0.2)
            return peak(process.pid), time.monotonic() - started
        finally:
            process.terminate()
            process.wait(30)


def called(platform: Platform, *arguments: str) -> tuple[int, float]:
    """Run a command to its end; returns its greatest size, bytes, and the seconds."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(platform.command(*arguments), env=platform.whole_environment(), stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            said.seek(0)
            raise RuntimeError(f"quantum {' '.join(arguments)} failed: {said.read().decode()[-2_000:]}")
    return used.ru_maxrss * 1024, time.monotonic() - started


@click.command()
@click.argument("sizes", nargs=-1, type=int, required=True)
def main(sizes: tuple[int, ...]) -> None:
    """Measure for each of SIZES, rows, and print a table as Markdown."""
    click.echo("| rows | sink | export | import |\n|---|---|---|---|")
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="quantum-memory-") as folder:
            platform = Platform(Path(folder) / "home")
            try:
                platform.declare()
                feed(platform, rows)
                cells = [carried(platform, rows)]
                cells.append(called(platform, "history", "export", f"{folder}/files", "--table", TOPIC.table))
                platform.client.command(f"TRUNCATE TABLE {TOPIC.table}")
                cells.append(called(platform, "history", "import", f"{folder}/files"))
                if count(platform) != rows:
                    raise RuntimeError(f"{count(platform)} of {rows} rows came back")
            finally:
                platform.down()
        told = " | ".join(f"{size / _MB:,.0f} MB, {seconds:.0f} s" for size, seconds in cells)
        click.echo(f"| {rows:,} | {told} |")


if __name__ == "__main__":
    main()
