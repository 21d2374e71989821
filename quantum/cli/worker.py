"""``quantum worker``: workers of stages."""

from __future__ import annotations

import sys

import click

from processors.topology import STAGES
from quantum.settings import load


@click.command()
@click.argument("stage", type=click.Choice(STAGES))
@click.option("--worker", default="0", show_default=True, help="Which of the stage's workers this is; each needs a name of its own.")
@click.option("--metrics-port", default=0, show_default=True, help="Port of GET /metrics on loopback; 0 for a free one.")
def worker(stage: str, worker: str, metrics_port: int) -> None:
    """Run a worker of STAGE until it is told to end.

    Any number of workers of a stage share its partitions; give each its own --worker.
    """
    from infra.workers import run_stage

    sys.exit(run_stage(stage, load(), worker=worker, metrics_port=metrics_port))
