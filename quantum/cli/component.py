"""``quantum component``: the processes outside the stages."""

from __future__ import annotations

import sys

import click

from infra.components import COMPONENTS
from quantum.settings import load

HELP = """Run components until they are told to end; several NAMES share one process.

\b
feed     venue connectors: frames by websocket and REST to exchange.raw
clock    one tick a second to every partition
orders   the order gateway: commands to the venue, results back
sink     topics into the history; any number of them
trainer  trains models on request
venue    a paper account on the live market
"""


@click.command(help=HELP)
@click.argument("names", nargs=-1, required=True, type=click.Choice(tuple(COMPONENTS)))
@click.option("--worker", default="0", show_default=True, help="Which of the component's processes this is.")
@click.option("--metrics-port", default=0, show_default=True, help="Port of GET /metrics; 0 for a free one.")
def component(names: tuple[str, ...], worker: str, metrics_port: int) -> None:
    """Run components until they are told to end."""
    from infra.workers import run_component

    sys.exit(run_component(names, load(), worker=worker, metrics_port=metrics_port))
