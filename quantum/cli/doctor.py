"""``quantum doctor``: what is wrong, or slow, and where."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.health.probe import Figures, VenueLatency, probe
from connectors.exchange.settings import FeedSettings
from connectors.exchange.venues import VENUES
from quantum.demo.scrape import Scrape, quantile, scrape
from quantum.settings import load
from schemas.common import HealthState

EXIT_NO_ANSWER = 3
EXIT_NOT_HEALTHY = 4
WIDTH = 120  # of the tables, where they do not go to a terminal

LATENCY_HELP = """Measure how far away the venues are, and how long the stages take.

Follows the venues as the feed does, the simulated ones on loopback by default (QUANTUM_FEED_*, QUANTUM_VENUE_*), and writes nothing.
A frame's delay is the time from the venue's time of the event to its receipt, by the venue's clock; of channels that the venue gives no
time for, as the best prices of Binance's spot market, there is none. Where the platform's workers run, their latencies of the same
seconds are shown, too.

\b
exit code  0  every venue answered and its feed is healthy
           1  an error, for example a symbol that the venue does not list
           3  a venue did not answer
           4  a venue answered, but its frames cannot be relied on
"""


class Report(msgspec.Struct, frozen=True):
    """What was measured: of each venue, and of each stage that took records meanwhile."""

    venues: list[VenueLatency]
    stages: dict[str, Figures]


@click.group()
def doctor() -> None:
    """Say what is wrong, or slow, and where."""


@doctor.command(help=LATENCY_HELP)
@click.option(
    "--venue", "venues", multiple=True, type=click.Choice(tuple(VENUES)), help="Venue, maybe several; default: those of the feed."
)
@click.option("--symbol", "symbols", multiple=True, help="Symbol to follow, maybe several; default: those of the feed.")
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(1, 600), help="How long to measure.")
@click.option("--json", "as_json", is_flag=True, help="Print what was measured as JSON.")
def latency(venues: tuple[str, ...], symbols: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """Measure how far away the venues are, and how long the stages take."""
    settings = FeedSettings()
    names = venues or settings.venues
    followed = settings.model_copy(update={"venues": names, "symbols": tuple(symbols) or settings.symbols})
    report = asyncio.run(_measure(followed, VenueSettings(), seconds, load().folders.run))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _print(report)
    if not all(venue.answered for venue in report.venues):
        sys.exit(EXIT_NO_ANSWER)
    if any(venue.state is not HealthState.HEALTHY for venue in report.venues):
        sys.exit(EXIT_NOT_HEALTHY)


async def _measure(settings: FeedSettings, access: VenueSettings, seconds: float, folder: Path) -> Report:
    before = await asyncio.to_thread(scrape, folder)
    found = await asyncio.gather(*(probe(name, access, settings, seconds) for name in settings.venues))
    return Report(list(found), stages(before, await asyncio.to_thread(scrape, folder)))


def stages(before: Scrape, after: Scrape) -> dict[str, Figures]:
    """Return the latencies of the stages between two looks at their metrics; only of those that took records."""
    out = {}
    for stage, buckets in sorted(after.since(before).items()):
        count = int(max(buckets.values(), default=0))
        if count:
            p50, p95, p99 = (None if (found := quantile(buckets, share)) is None else round(found * 1e3, 3) for share in (0.5, 0.95, 0.99))
            out[stage] = Figures(count=count, p50_ms=p50, p95_ms=p95, p99_ms=p99)
    return out


def _print(report: Report) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    table = Table("", "count", "p50 ms", "p95 ms", "p99 ms", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for venue in report.venues:
        table.add_row(f"[bold]{venue.venue}[/]")
        _add(table, "  REST round trip", venue.round_trip)
        _add(table, "  websocket ping", venue.ping)
        for channel, figures in venue.delays.items():
            _add(table, f"  delay of {channel}", figures)
    if report.stages:
        table.add_row("[bold]stages[/]")
    for stage, figures in report.stages.items():
        _add(table, f"  {stage}", figures)
    console.print(table)
    for venue in report.venues:
        said = f"{venue.state.value}, {venue.detail}; {_offset(venue)}" if venue.answered else "did not answer"
        console.print(f"{venue.venue}: {said}", highlight=False, markup=False)
    if not report.stages:
        console.print("no stage of the platform took records meanwhile", highlight=False)


def _offset(venue: VenueLatency) -> str:
    """Say the offset of a venue's clock; it is known to half a round trip, since nothing tells the way there from the way back."""
    if venue.clock_offset_ms is None or venue.round_trip.p50_ms is None:
        return "its clock was not read"
    return f"its clock minus ours is {venue.clock_offset_ms:.1f} ms, give or take {venue.round_trip.p50_ms / 2:.1f}"


def _add(table: Table, name: str, figures: Figures) -> None:
    texts = ["" if value is None else f"{value:,.2f}" for value in (figures.p50_ms, figures.p95_ms, figures.p99_ms)]
    table.add_row(name, f"{figures.count:,}", *texts)
