"""``quantum replay``: the stages once more over what was recorded."""

from __future__ import annotations

import asyncio
import sys

import click
import msgspec
from rich.console import Console
from rich.table import Table

from processors.replay import Verdict, verify
from processors.topology import STAGES
from quantum.settings import load

EXIT_DIFFERENT = 1
WIDTH = 140  # of the table, where it does not go to a terminal


@click.command()
@click.option("--stage", "stages", multiple=True, type=click.Choice(STAGES), help="Run this stage, maybe several; default: all.")
@click.option("--verify", "must_be_same", is_flag=True, help="Exit with 1 where anything differs.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def replay(stages: tuple[str, ...], must_be_same: bool, as_json: bool) -> None:
    """Run stages again over the recorded topics, in the order in which their workers took the records, and compare.

    Every record that a stage wrote, with its headers, and every key of its tables must come out again, whatever was killed or
    stopped meanwhile. With changed code the differences are the decisions that it would have taken otherwise. Nothing is written.
    The stages must be at rest, and their topics must reach back to their beginning.
    """
    found = asyncio.run(verify(load(), stages or STAGES, lambda line: click.echo(line, err=True)))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDTH)
        console.print(_table(found))
        for verdict in found:
            for note in verdict.notes:
                console.print(f"{verdict.stage}: {note}", highlight=False, markup=False)
    if must_be_same and not all(verdict.same for verdict in found):
        sys.exit(EXIT_DIFFERENT)


def _table(verdicts: list[Verdict]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    columns = ("records", "epochs", "outputs", "skipped", "missing", "out_of_order", "surplus", "keys", "keys_differing")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("")
    for verdict in verdicts:
        counts = [f"{getattr(verdict, name):,}" for name in columns]
        table.add_row(verdict.stage, *counts, "[green]the same[/]" if verdict.same else "[red]different[/]")
    return table
