"""``python -m tests.bench``: run benchmarks, print a table, write ``bench.json``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from quantum.home import Home
from tests.bench.avro import avro
from tests.bench.codec import codec
from tests.bench.figure import Figure
from tests.bench.history import history
from tests.bench.latency import latency
from tests.bench.load import load
from tests.bench.local_stack import stack
from tests.bench.pipeline import pipeline
from tests.bench.queries import queries
from tests.bench.runtime import runtime
from tests.bench.servers import Bench
from tests.bench.stages import features, market, signals

BENCHMARKS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "stack": stack,
    "codec": codec,
    "market": market,
    "features": features,
    "signals": signals,
    "history": history,
    "queries": queries,
    "runtime": runtime,
    "avro": avro,
    "latency": latency,
    "pipeline": pipeline,
    "load": load,
}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(BENCHMARKS)), help="Run this benchmark; may be given several times.")
@click.option("--output", type=click.Path(path_type=Path), help="File of the figures; default bench.json in QUANTUM_HOME.")
def main(only: tuple[str, ...], output: Path | None) -> None:
    """Measure the platform's parts, beside peers on the same task where there are some."""
    path = output or Home().root / "bench.json"
    progress = Console(stderr=True)
    machine = f"{os.cpu_count()} processors, load average at the start {os.getloadavg()[0]:.1f}"
    figures: list[Figure] = []
    with Bench() as bench:
        for name, benchmark in BENCHMARKS.items():
            if not only or name in only:
                progress.print(f"measuring {name} ...")
                figures += benchmark(bench)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode([figure.to_json() for figure in figures]), indent=2))
    _print(figures, machine)
    progress.print(f"written to {path}")


def _print(figures: list[Figure], machine: str) -> None:
    table = Table(title="Figures; 'times' is how many times as good as the peer", caption=machine)
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("peer")
    table.add_column("peer's", justify="right")
    table.add_column("times", justify="right")
    for figure in figures:
        head = (figure.name, figure.note if figure.value is None else number(figure.value), figure.unit)
        rows = [(peer, number(value), f"{figure.ratios[peer]:.2f}") for peer, value in figure.peers.items()] or [("", "", "")]
        for index, row in enumerate(rows):
            table.add_row(*(head if index == 0 else ("", "", "")), *row)
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table)


def number(value: float) -> str:
    """Return a figure with three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
