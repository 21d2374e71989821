"""The whole platform under fire: every worker killed again and again, then every decision taken once more and compared.

``python -m tests.consistency.pipeline`` runs the demo on the simulated venue, kills its workers with SIGKILL, and at the end
runs ``quantum replay --verify``: the stages' outputs, headers and tables must come out again of the same input without kills. The
account is recomputed besides, by other code, from the venue's fills alone.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from infra.local.stack import Stack
from processors.components import newest, read_all
from processors.topology import STAGES
from quantum.home import Home
from quantum.settings import Settings
from schemas.common import PositionSide, Side
from schemas.execution.records import ExecutionResult
from schemas.positions.records import PortfolioExposure, PortfolioPosition, PortfolioSnapshot

COMPONENTS = ("feed", "clock", "orders", "sink", "trainer")
START_S = 180.0
END_S = 300.0


def start_demo(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the demo with servers on free ports of its own."""
    Stack(Home(home), ports={"kafka": 0, "registry": 0, "store": 0}).up()
    command = [sys.executable, "-m", "quantum", "demo", *arguments]
    return subprocess.Popen(command, env=_environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "QUANTUM_HOME": str(home)}


def worker_pid(home: Path, name: str) -> int | None:
    """Return the process id of a worker of the demo, None while it has none."""
    try:
        return int(json.loads((home / "run" / f"{name}.process.json").read_text())["pid"])
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def kill(home: Path, name: str) -> bool:
    """Kill a worker; return whether there was one."""
    pid = worker_pid(home, name)
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def replay(home: Path, *stages: str) -> list[dict[str, Any]]:
    """Return what ``quantum replay --verify`` finds for each stage, or for some."""
    chosen = [argument for stage in stages for argument in ("--stage", stage)]
    command = [sys.executable, "-m", "quantum", "replay", "--verify", "--json", *chosen]
    done = subprocess.run(command, env=_environment(home), capture_output=True, text=True, timeout=END_S, check=False)
    if not done.stdout:
        raise RuntimeError(f"quantum replay ended with {done.returncode}: {done.stderr}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def settings_of(home: Path) -> Settings:
    """Return the settings of a demo whose servers are still up."""
    endpoints = Home(home).endpoints()
    if endpoints is None:
        raise RuntimeError(f"no servers run in {home}")
    return Settings(home=home, kafka=endpoints.kafka, registry=endpoints.registry, clickhouse=endpoints.clickhouse)


@dataclass(slots=True)
class Holding:
    """One symbol of the account, by average cost."""

    quantity: Decimal = Decimal(0)
    entry: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)

    def fill(self, signed: Decimal, price: Decimal) -> None:
        """Take a fill; positive quantities are bought."""
        closing = min(abs(signed), abs(self.quantity)) if signed * self.quantity < 0 else Decimal(0)
        direction = 1 if self.quantity > 0 else -1
        self.realised += closing * (price - self.entry) * direction
        opening = abs(signed) - closing
        if opening and (closing or not self.quantity):
            self.entry = price
        elif opening:
            self.entry = (self.entry * abs(self.quantity) + price * opening) / (abs(self.quantity) + opening)
        self.quantity += signed


@dataclass(slots=True)
class Books:
    """The account by the venue's fills alone."""

    holdings: dict[str, Holding] = field(default_factory=lambda: defaultdict(Holding))
    fees: Decimal = Decimal(0)
    fills: int = 0
    doubled: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Books:
        """Return the account by ``execution.result``."""
        books, seen = cls(), set[tuple[str, str]]()
        for _, record in read_all(settings, "execution.result"):
            if not isinstance(record, ExecutionResult) or record.trade_id is None:
                continue
            if (record.symbol, record.trade_id) in seen:
                books.doubled += 1
                continue
            seen.add((record.symbol, record.trade_id))
            quantity, price = record.fill_quantity or Decimal(0), record.fill_price or Decimal(0)
            books.holdings[record.symbol].fill(quantity if record.side is Side.BUY else -quantity, price)
            books.fees += record.commission or Decimal(0)
            books.fills += 1
        return books


def differences(settings: Settings) -> tuple[Books, list[str]]:
    """Return the recomputed account, and where positions, snapshot and exposure of the platform say something else."""
    books, wrong = Books.of(settings), []

    def same(what: str, platform: object, recomputed: object) -> None:
        if platform != recomputed:
            wrong.append(f"{what}: {platform} on the topic, {recomputed} by the fills")

    signed: dict[str, Decimal] = {}
    for position in newest(settings, "portfolio.position").values():
        assert isinstance(position, PortfolioPosition)
        sign = {PositionSide.LONG: 1, PositionSide.SHORT: -1}.get(position.side, 0)
        signed[position.symbol] = position.quantity * sign
    same("positions", {k: v for k, v in signed.items() if v}, {k: v.quantity for k, v in books.holdings.items() if v.quantity})
    snapshot = newest(settings, "portfolio.snapshot").get(settings.account)
    exposure = newest(settings, "portfolio.exposure").get(settings.account)
    if not isinstance(snapshot, PortfolioSnapshot) or not isinstance(exposure, PortfolioExposure):
        return books, [*wrong, "there is no snapshot or no exposure of the account"]
    places = Decimal("1e-6")  # the records are rounded to eight places
    same("fees", snapshot.fees.quantize(places), books.fees.quantize(places))
    realised = sum((h.realised for h in books.holdings.values()), Decimal(0))
    if abs(snapshot.realised_pnl - realised) > books.fills * Decimal("1e-8"):  # the venue rounds what each fill has realised
        wrong.append(f"realised: {snapshot.realised_pnl} on the topic, {realised} by the fills")
    same("open positions", snapshot.open_positions, sum(bool(h.quantity) for h in books.holdings.values()))
    same("equity", snapshot.equity, snapshot.balance + snapshot.unrealised_pnl)
    same("symbols in use", {each.symbol for each in exposure.symbols}, {symbol for symbol, h in books.holdings.items() if h.quantity})
    same("gross exposure", exposure.gross, sum((abs(each.notional) for each in exposure.symbols), Decimal(0)))
    return books, wrong


def await_worker(home: Path, name: str, process: subprocess.Popen[str]) -> None:
    """Wait until a worker of the demo runs."""
    deadline = time.monotonic() + START_S
    while worker_pid(home, name) is None:
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"the demo has not started {name}; see {home / 'logs'}")
        time.sleep(0.2)


def harass(home: Path, process: subprocess.Popen[str], seconds: float, gap_s: float, rng: random.Random) -> dict[str, int]:
    """Kill workers, each as often as the others, in random order for some time; return how often each was killed."""
    names = [f"{name}-0" for name in (*STAGES, *COMPONENTS)]
    killed = dict.fromkeys(names, 0)
    until = time.monotonic() + seconds
    queue: list[str] = []
    while time.monotonic() < until and process.poll() is None:
        if not queue:
            queue = rng.sample(names, len(names))
        name = queue.pop()
        killed[name] += kill(home, name)
        time.sleep(rng.uniform(0.5, 1.5) * gap_s)
    return killed


def _table(found: list[dict[str, Any]], killed: Mapping[str, int], caption: str) -> Table:
    table = Table(title="The same input without kills", caption=caption)
    table.add_column("stage")
    columns = ("kills", "records", "epochs", "outputs", "skipped", "missing", "out_of_order", "surplus", "keys", "keys_differing")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    for verdict in found:
        row = {**verdict, "kills": killed.get(f"{verdict['stage']}-0", 0)}
        table.add_row(verdict["stage"], *(f"{row[name]:,}" for name in columns))
    return table


@click.command()
@click.option("--seconds", default=180.0, show_default=True, help="How long the demo trades.")
@click.option("--gap", "gap_s", default=2.0, show_default=True, help="Seconds between two kills, on average.")
@click.option("--seed", default=5, show_default=True, help="Decides who is killed when.")
def main(seconds: float, gap_s: float, seed: int) -> None:
    """Run the platform, kill its workers all the time, and compare what it decided with a run over the same input without kills."""
    console = Console(width=150)
    with tempfile.TemporaryDirectory(prefix="quantum-pipeline-") as folder:
        home = Path(folder) / "home"
        process = start_demo(home, "--seconds", str(seconds), "--keep-up", "--summary", str(Path(folder) / "summary.json"))
        try:
            await_worker(home, f"{STAGES[-1]}-0", process)
            killed = harass(home, process, seconds - 10.0, gap_s, random.Random(seed))
            output, _ = process.communicate(timeout=END_S)
            if process.returncode:
                raise RuntimeError(f"the demo ended with {process.returncode}: {output}")
            books, wrong = differences(settings_of(home))
            found = replay(home)
            summary = json.loads((Path(folder) / "summary.json").read_text())
        finally:
            process.kill()
            Stack(Home(home)).down()
    caption = f"{sum(killed.values())} kills in {seconds:g} s, seed {seed}; {books.fills} fills, {summary['closed_trades']} closed trades"
    console.print(_table(found, killed, caption))
    wrong += [f"{books.doubled} fills are twice on the topic"] if books.doubled else []
    wrong += [f"dead letters: {summary['dead_letters']}"] if summary["dead_letters"] else []
    wrong += [note for verdict in found for note in verdict["notes"]]
    for line in wrong:
        console.print(line, highlight=False, markup=False)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
