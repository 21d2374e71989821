"""``quantum demo``: the whole platform on one machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.option("--seconds", type=click.FloatRange(min=5), default=None, help="How long to trade; default 90, a recording to its end.")
@click.option(
    "--source", default="sim", show_default=True, metavar="sim|replay:DIR", help="The simulated venue, or a folder of recorded raw frames."
)
@click.option("--speed", default="10", show_default=True, metavar="X|max", help="Speed of a recording, times real time.")
@click.option(
    "--from", "begin", default="", metavar="TIME", help="Play a recording from here: 2024-08-08T23:56, UTC, or 90s from its start."
)
@click.option("--to", "end", default="", metavar="TIME", help="End a recording here.")
@click.option("--seed", type=int, default=7, show_default=True, help="Seed of the simulated venue.")
@click.option("--summary", "summary_file", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Write the summary as JSON.")
@click.option("--keep-up", is_flag=True, help="Leave the servers running at the end.")
def demo(seconds: float | None, source: str, speed: str, begin: str, end: str, seed: int, summary_file: Path | None, keep_up: bool) -> None:
    """Run the whole platform and show it: market data, signals, orders, fills, positions, exits, history.

    Paper money only. Starts the servers where they do not run, and ends what it started. The data of the demo before are
    removed first.
    """
    from quantum.demo.run import Options, run_demo

    options = Options(
        seconds=seconds, source=source, speed=speed, seed=seed, summary_file=summary_file, keep_up=keep_up, begin=begin, end=end
    )
    sys.exit(run_demo(options))
