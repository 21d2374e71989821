"""A day on the simulated venue with every fault at random: ``python -m tests.consistency.day [--hours 24] [--speed S] [--seed N]``.

The whole platform runs beside a venue whose markets run fast, and somebody trades by hand all the time, while the venue drops, stalls,
doubles and disorders frames, refuses and loses requests, and goes away. At the end nothing may have crashed, every hole in the data must
have been reported, no difference may have stood unexplained, and the platform's books must be the venue's to the last digit.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from processors.topology import NODES, TOPICS
from quantum import logging as logs
from quantum.demo.offsets import Offsets
from quantum.demo.summary import stage_lag
from tests.consistency.day import check
from tests.consistency.day.people import Misfortune, Trader, until
from tests.consistency.day.world import RECONCILE_S, Plan, World

SETTLE_S = 90.0
SINK = "quantum-sink"
log = logging.getLogger(__name__)


def run(plan: Plan, folder: Path, console: Console) -> tuple[dict[str, Any], list[str]]:
    """Run a plan; return its figures and what is wrong."""

    def tell(text: str) -> None:
        console.print(text, highlight=False)

    with World(plan, folder, tell) as world:
        misfortune = Misfortune(world.venue, plan.fault_every_s, plan.seed)
        trader = Trader(world.settings, world.venue, plan.symbols, plan.trade_every_s, plan.seed)
        tell(f"{plan.hours:g} hours at {plan.speed:g} times the wall clock: {plan.seconds:.0f} s")
        began = time.monotonic()
        hands = (trader, misfortune)
        for hand in hands:
            hand.start()
        lag = 0
        while (left := plan.seconds - (time.monotonic() - began)) > 0:
            time.sleep(min(10.0, left))
            lag = max(lag, sum(stage_lag(world.settings).values()))
            tell(f"{time.monotonic() - began:6.0f} s  {misfortune.done.total()} faults, {trader.intents} trades by hand, most behind {lag}")
        for hand in hands:
            hand.end()
        world.venue.lift()
        tell("faults are lifted; finishing what is under way")
        figures, wrong = _end(world, plan)
    figures |= {
        "plan": asdict(plan), "faults": dict(sorted(misfortune.done.items())), "trades_by_hand": trader.intents,
        "transfers_by_hand": trader.transfers, "most_records_behind": lag,
    }  # fmt: skip
    return figures, wrong


def _end(world: World, plan: Plan) -> tuple[dict[str, Any], list[str]]:
    settings, venue = world.settings, world.venue
    figures: dict[str, Any] = {}
    wrong: list[str] = []
    until("the orders are over", lambda: not venue.open_orders(), SETTLE_S)
    until("the stages have read everything", lambda: sum(stage_lag(settings).values()) < 2_000, SETTLE_S)
    time.sleep(RECONCILE_S)  # one more round of reconciliation, and the books that are healed last
    reported, strikes, restarts = check.gap_counts(settings), venue.strikes(), world.restarts()
    world.inputs.stop()
    until("the stages are idle", lambda: not sum(stage_lag(settings).values()), SETTLE_S)
    deadline = time.monotonic() + SETTLE_S
    while (books := check.books(settings, venue, plan.symbols)).wrong and time.monotonic() < deadline:
        time.sleep(1.0)
    _until_stored(world)
    parts = {
        "books": books,
        "history": check.history(settings, venue, plan.symbols),
        "data": check.data(settings, plan.symbols, strikes, reported),
        "reconciliation": check.reconciled(settings),
        "dead_letters": check.dead_letters(settings),
    }
    for name, findings in parts.items():
        figures[name] = findings.figures
        wrong += findings.wrong
    struck: dict[str, int] = {}
    for row in strikes:
        struck[row["kind"]] = struck.get(row["kind"], 0) + row["count"]
    figures["strikes"] = struck
    figures["restarts"] = restarts
    wrong += [f"{name} was started again {count} times: {world.platform.errors}" for name, count in restarts.items()]
    return figures, wrong


def _until_stored(world: World) -> None:
    offsets = Offsets(world.settings)
    kept = [name for name in NODES["sink"].reads if not TOPICS[name].broadcast]
    ends = offsets.look(kept, ()).ends
    until("the history has everything", lambda: offsets.look(kept, [SINK]).reached(SINK, ends), SETTLE_S)


@click.command()
@click.option("--hours", default=24.0, show_default=True, help="Hours of the market.")
@click.option("--speed", default=170.0, show_default=True, help="Market seconds a second.")
@click.option("--seed", default=6, show_default=True, help="Decides the market, the faults and the trades by hand.")
@click.option("--every", default=20, show_default=True, help="The market makes one in so many of its trades and quotes.")
@click.option("--funding-minutes", default=480, show_default=True, help="Minutes between two settlements of funding.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to a file.")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Keep everything in this folder, to be looked at.")
def main(hours: float, speed: float, seed: int, every: int, funding_minutes: int, json_file: Path | None, home: Path | None) -> None:
    """Run the platform through a day of a misbehaving venue and compare the books."""
    console = Console(width=150)
    os.environ["QUANTUM_PARTITIONS"] = "1"
    plan = Plan(hours=hours, speed=speed, seed=seed, every=every, funding_minutes=funding_minutes)
    with tempfile.TemporaryDirectory(prefix="quantum-day-") as folder:
        logs.configure("day", "INFO", Path(folder) / "day.log")
        figures, wrong = run(plan, home or Path(folder) / "home", console)
    console.print_json(json.dumps(figures, default=str))
    if json_file is not None:
        json_file.write_text(json.dumps({"figures": figures, "wrong": wrong}, indent=2, default=str) + "\n")
    for line in wrong:
        console.print(line, highlight=False, markup=False)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
