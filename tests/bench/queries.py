"""The twenty questions of ``docs/sql.md`` asked of many generated ticks: ``python -m tests.bench.queries FOLDER --ticks N``.

Of every query: the time on a store that has just been started, with nothing of its files in memory; the least of three more; rows read; and
by how much the store's memory grew at most, above what it had before. The folder is filled first, is kept, and need not be filled
again: ``--fill`` alone fills it. Without a folder, as one of ``python -m tests.bench``, a small history is made and goes with the run.
"""

from __future__ import annotations

import json
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from connectors.clickhouse import migrate
from tests.bench.figure import Figure
from tests.bench.generated import fill
from tests.bench.servers import Bench
from tests.integration.history_process import StoreProcess
from tests.integration.test_sql_questions import QUESTIONS

TICKS = 2_000_000
WARM = 3
LIMIT_S = 600
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query took.

    Attributes
    ----------
    seconds
        From the request to the last byte.
    read, rows
        Rows read, and rows of the answer.
    grown
        Bytes by which the store's memory grew at most meanwhile.
    """

    seconds: float
    read: int
    rows: int
    grown: int


def ask(store: StoreProcess, sql: str) -> Answer:
    """Ask a store a query and read all of the answer."""
    assert store.process is not None
    process = psutil.Process(store.process.pid)
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the greatest size so far is the present one
    before = process.memory_info().rss
    place = urllib.parse.urlencode({"database": "quantum", "default_format": "TSV", "max_execution_time": LIMIT_S})
    started = time.perf_counter()
    with urllib.request.urlopen(f"{store.url}/?{place}", data=sql.encode(), timeout=LIMIT_S) as answer:
        body = answer.read()
        seconds = time.perf_counter() - started
        counts = json.loads(answer.headers["X-ClickHouse-Summary"])
    return Answer(seconds, int(counts["read_rows"]), body.count(b"\n"), max(_peak(process.pid) - before, 0))


def _peak(pid: int) -> int:
    """Return the greatest resident size of a process, bytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_files(folder: Path) -> None:
    """Have the system drop what it keeps of files in memory."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def filled(store: StoreProcess, ticks: int) -> tuple[int, float]:
    """Fill a store that runs, wait for its merges; returns ticks and bytes of each on disk."""
    client = store.client("default")
    migrate.apply(client)
    client.close()
    fill(store.client, ticks)
    client = store.client()
    while int(str(client.command("SELECT count() FROM system.merges"))):
        time.sleep(1.0)
    found = client.query("SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'market_tick'").first_row
    client.close()
    rows, size = found or (0, 0)
    return int(rows), size / max(int(rows), 1)


def asked(store: StoreProcess, only: tuple[int, ...] = ()) -> Iterator[tuple[str, Answer, Answer, str]]:
    """Ask every query of the page, or those of some questions, of a store that is not running; yields number, first and quickest answer.

    Where the store refuses, the last is its error, and the answers are empty.
    """
    for (number, place), sql in QUESTIONS.items():
        if only and number not in only:
            continue
        forget_files(store.folder)
        store.start()
        try:
            cold = ask(store, sql)
            warm = min((ask(store, sql) for _ in range(WARM)), key=lambda answer: answer.seconds)
            yield f"{number}.{place + 1}", cold, warm, ""
        except urllib.error.HTTPError as error:
            yield f"{number}.{place + 1}", Answer(0, 0, 0, 0), Answer(0, 0, 0, 0), error.read().decode()[:300]
        finally:
            store.stop()


def queries(bench: Bench) -> Iterator[Figure]:
    """Measure the questions on a small history."""
    store = StoreProcess(bench.folder).start()
    ticks, size = filled(store, TICKS)
    store.stop()
    yield Figure(name="queries: a generated tick on disk", unit="bytes", value=size, note=f"{ticks:,} ticks")
    for name, cold, warm, error in asked(store):
        note = error or f"first time {cold.seconds:.3f} s; {warm.read:,} rows read, {warm.rows:,} given, {cold.grown / _MB:,.0f} MB"
        yield Figure(name=f"queries: question {name}", unit="s", value=None if error else warm.seconds, note=note)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--ticks", default=TICKS, show_default=True, help="How many to generate.")
@click.option("--memory-mb", default=12_000, show_default=True, help="Memory of the store.")
@click.option("--question", "questions", type=int, multiple=True, help="Ask this one; may be given several times.")
@click.option("--fill", "only_fill", is_flag=True, help="Fill the folder and ask nothing.")
def main(folder: Path, ticks: int, memory_mb: int, questions: tuple[int, ...], only_fill: bool) -> None:
    """Fill FOLDER where it is not, ask, and print the answers' times as Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    store = StoreProcess(folder, arguments=("--memory-mb", str(memory_mb)))
    store.start()
    try:
        started = time.perf_counter()
        rows, size = filled(store, ticks)
        click.echo(f"{rows:,} ticks, {size:.1f} bytes each on disk; filled in {time.perf_counter() - started:.0f} s", err=True)
    finally:
        store.stop()
    if only_fill:
        return
    click.echo("| question | first, s | again, s | rows read | rows given | memory, MB |\n|---|---|---|---|---|---|")
    for name, cold, warm, error in asked(store, questions):
        told = f"{cold.seconds:.3f} | {warm.seconds:.3f} | {warm.read:,} | {warm.rows:,} | {max(cold.grown, warm.grown) / _MB:,.0f}"
        click.echo(f"| {name} | {error or told} |")


if __name__ == "__main__":
    main()
