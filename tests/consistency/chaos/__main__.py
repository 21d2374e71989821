"""``python -m tests.consistency.chaos``: run campaigns, print a table, write ``chaos.json``."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import click
import msgspec
from rich.console import Console

from quantum.home import Home
from tests.consistency.campaign import KEYS
from tests.consistency.chaos.result import Result, table
from tests.consistency.chaos.run import Campaign
from tests.consistency.chaos.scenario import SCENARIOS
from tests.consistency.chaos.server import Server


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(SCENARIOS)), help="Run this scenario; may be given several times.")
@click.option("--records", default=400_000, show_default=True, help="How many records each scenario is fed.")
@click.option("--rate", default=4_000.0, show_default=True, help="Records a second.")
@click.option("--seed", default=4, show_default=True, help="Decides what happens when.")
@click.option("--output", type=click.Path(path_type=Path), help="File of the results; default chaos.json in QUANTUM_HOME.")
@click.option("--logs", type=click.Path(path_type=Path), help="Folder to keep the workers' and the broker's logs in.")
def main(only: tuple[str, ...], records: int, rate: float, seed: int, output: Path | None, logs: Path | None) -> None:
    """Kill, stop, add, remove and restart workers and their broker while records are counted, and see whether the counts are right.

    Results of scenarios that are not run stay in the file. The exit status is 1 where a promise is broken.
    """
    path = output or Home().root / "chaos.json"
    progress = Console(stderr=True, highlight=False)
    progress.print(f"seed {seed}")
    results: list[Result] = []
    folder = Path(tempfile.mkdtemp(prefix="quantum-chaos-"))
    try:
        for number, name in enumerate(only or SCENARIOS):
            progress.print(f"{name} ...")
            with Server(folder / f"server-{number}") as server:
                campaign = Campaign(
                    name, SCENARIOS[name], server, folder / f"workers-{number}", records=records // KEYS * KEYS, rate=rate, seed=seed,
                    say=progress.print,
                )  # fmt: skip
                results.append(campaign.run())
            _write(path, results)
    finally:
        if logs is not None:
            shutil.copytree(folder, logs, dirs_exist_ok=True, ignore=shutil.ignore_patterns("data"))
        shutil.rmtree(folder)
    _print(results, f"{rate:,.0f} records/s, seed {seed}, {os.cpu_count()} processors")
    progress.print(f"written to {path}")
    sys.exit(any(result.broken for result in results))


def _write(path: Path, results: list[Result]) -> None:
    """Replace the results of these scenarios in a file, in the order of the scenarios."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = msgspec.json.decode(path.read_bytes(), type=list[Result]) if path.exists() else []
    known = {each.scenario: each for each in (*before, *results)}
    ordered = [known[name] for name in SCENARIOS if name in known]
    path.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=2))


def _print(results: list[Result], caption: str) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=260)
    console.print(table(results, caption))


if __name__ == "__main__":
    main()
