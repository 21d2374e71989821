"""What the demo shows while it runs: a live view in a terminal, plain lines elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from quantum.demo.observer import Seen
from schemas.common import Direction

REASON_WIDTH = 44
ARROWS = {Direction.LONG: ("LONG", "green"), Direction.SHORT: ("SHORT", "red"), Direction.FLAT: ("flat", "dim")}


@dataclass(frozen=True, slots=True)
class StageLine:
    """One row of the table of stages.

    Attributes
    ----------
    name
        Name of the stage or component.
    rate
        Records that it takes in, a second; of a feed or the clock, records that it writes.
    lag
        About how many records it has yet to read; None where it reads nothing.
    p50_ms, p99_ms
        Latency, milliseconds; None without observations.
    restarts
        Restarts of its workers so far.
    healthy
        Whether all its workers run.
    """

    name: str
    rate: float
    lag: int | None
    p50_ms: float | None
    p99_ms: float | None
    restarts: int
    healthy: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything that is shown at one moment."""

    elapsed_s: float
    total_s: float | None
    source: str
    stages: tuple[StageLine, ...]
    memory_mb: float


def number(value: float | None, form: str = ",.1f") -> str:
    """Return a number as text, a dash for none."""
    return "-" if value is None else format(value, form)


def render(frame: Frame, seen: Seen) -> RenderableType:
    """Return the live view."""
    body = Table.grid(padding=(0, 3))
    body.add_row(_stages(frame), Group(_signals(seen), _positions(seen), _trades(seen)))
    return Group(_header(frame, seen), body)


def _header(frame: Frame, seen: Seen) -> RenderableType:
    text = Text()
    until = f" of {frame.total_s:.0f} s" if frame.total_s else " s"
    text.append("Quantum Trader", style="bold cyan")
    text.append(f"   {frame.source}   {frame.elapsed_s:.0f}{until}   paper money   {frame.memory_mb:,.0f} MB\n")
    snapshot = seen.snapshot
    if snapshot is not None:
        change = snapshot.equity - seen.first_equity
        text.append(f"equity {snapshot.equity:,.2f} USDT ", style="bold")
        text.append(f"{change:+,.2f}", style="green" if change >= 0 else "red")
        text.append(f"   fees {snapshot.fees:,.2f}   open {snapshot.open_positions}   drawdown {snapshot.drawdown:.2%}   ")
    text.append(f"signals {seen.signals:,}   orders {seen.orders}   fills {seen.fills}   closed {len(seen.closed)}   ")
    text.append(f"denials {sum(seen.denials.values())}")
    return Panel(text, border_style="cyan")


def _stages(frame: Frame) -> Table:
    table = Table(title="stages", title_justify="left", header_style="bold", expand=False)
    for name, justify in (
        ("stage", "left"),
        ("records/s", "right"),
        ("lag", "right"),
        ("p50 ms", "right"),
        ("p99 ms", "right"),
        ("", "left"),
    ):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for line in frame.stages:
        note = "" if line.healthy else "down"
        if line.restarts:
            note = f"{note} restarted {line.restarts}x".strip()
        style = "" if line.healthy else "red"
        lag = "-" if line.lag is None else f"{line.lag:,}"
        table.add_row(line.name, f"{line.rate:,.0f}", lag, number(line.p50_ms), number(line.p99_ms), note, style=style)
    return table


def _signals(seen: Seen) -> Table:
    table = Table(title="last signals", title_justify="left", header_style="bold")
    for name in ("time", "symbol", "", "confidence"):
        table.add_column(name, justify="right" if name == "confidence" else "left")
    table.add_column("regime, or why not", no_wrap=True, max_width=REASON_WIDTH)
    for signal in seen.last_signals:
        word, style = ARROWS[signal.direction]
        at = datetime.fromtimestamp(signal.event_ts / 1e6, UTC).strftime("%H:%M:%S")
        table.add_row(at, signal.symbol, Text(word, style=style), f"{signal.confidence:.2f}", signal.reason or signal.regime)
    return table


def _positions(seen: Seen) -> Table:
    table = Table(title="open positions", title_justify="left", header_style="bold")
    for name in ("symbol", "side", "quantity", "entry", "mark", "unrealised"):
        table.add_column(name, justify="left" if name in ("symbol", "side") else "right")
    for position in seen.positions.values():
        style = "green" if position.unrealised_pnl >= 0 else "red"
        pnl = Text(f"{position.unrealised_pnl:+,.2f}", style=style)
        table.add_row(
            position.symbol, position.side, f"{position.quantity:f}", f"{position.entry_price:,.2f}", f"{position.mark_price:,.2f}", pnl
        )
    return table


def _trades(seen: Seen) -> Table:
    table = Table(title="last closed trades", title_justify="left", header_style="bold")
    for name in ("symbol", "side", "held s", "net", "R", "exit"):
        table.add_column(name, justify="right" if name in ("held s", "net", "R") else "left")
    for trade in seen.closed[-5:]:
        pnl = Text(f"{trade.net_pnl:+,.2f}", style="green" if trade.net_pnl >= 0 else "red")
        table.add_row(trade.symbol, trade.side, f"{trade.held_s:.0f}", pnl, number(trade.r_multiple, "+.2f"), trade.exit_reason)
    return table


def plain(frame: Frame, seen: Seen) -> str:
    """Return one line for where there is no terminal."""
    lags = {line.name: line.lag for line in frame.stages if line.lag}
    slowest = max(lags.items(), key=lambda item: item[1], default=("none", 0))
    equity = "-" if seen.snapshot is None else f"{seen.snapshot.equity:,.2f}"
    return (
        f"{frame.elapsed_s:6.0f} s  equity {equity}  signals {seen.signals}  orders {seen.orders}  fills {seen.fills}  "
        f"open {len(seen.positions)}  closed {len(seen.closed)}  denials {sum(seen.denials.values())}  "
        f"most lag {slowest[0]} {slowest[1]:,}  {frame.memory_mb:,.0f} MB"
    )
