"""The account that the demo gives at its end: on paper as JSON, in the terminal as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

import msgspec
from confluent_kafka import OFFSET_BEGINNING
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table

from connectors.clickhouse.client import connect
from processors.app import application_id
from processors.components import read_from
from processors.topology import NODES, STAGES, TOPICS
from quantum.demo.observer import Seen
from quantum.demo.offsets import Offsets
from quantum.demo.scrape import Buckets, quantile
from quantum.settings import Settings


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Latency of a stage, milliseconds: from an input's time of writing to the sending of what it caused."""

    p50: float
    p99: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the demo did.

    Attributes
    ----------
    source : str
        Where the market data came from.
    seconds : float
        How long the run took, seconds, without starting and stopping.
    account : str
        The account that was traded.
    records_per_topic : dict[str, int]
        Records by topic; of a broadcast topic each record counts once.
    rows_per_table : dict[str, int]
        Rows by table of the history.
    signals : int
        Signals of the ensemble.
    directions : dict[str, int]
        Signals by direction.
    denials : dict[str, int]
        Denied entries by code.
    orders : int
        Order commands.
    fills : int
        Fills.
    rejections : dict[str, int]
        Rejected orders by the venue's reason.
    closed_trades : int
        Round trips.
    exit_reasons : dict[str, int]
        Round trips by why they were left.
    pnl : dict[str, str]
        Profit of the closed trades before and after fees and the change of equity, quote currency.
    latency_ms : dict[str, Latency]
        Latency by stage, without the first 15 s, in which the feed's backfill is worked off.
    lag : dict[str, int]
        Records not yet read at the end, by stage.
    memory_mb : dict[str, float]
        Greatest resident memory of the platform's processes, MB.
    errors : list[str]
        What went wrong: workers that died, and why.
    dead_letters : dict[str, int]
        Dead letters by topic; topics without any are left out.
    """

    source: str
    seconds: float
    account: str
    records_per_topic: dict[str, int]
    rows_per_table: dict[str, int]
    signals: int
    directions: dict[str, int]
    denials: dict[str, int]
    orders: int
    fills: int
    rejections: dict[str, int]
    closed_trades: int
    exit_reasons: dict[str, int]
    pnl: dict[str, str]
    latency_ms: dict[str, Latency]
    lag: dict[str, int]
    memory_mb: dict[str, float]
    errors: list[str]
    dead_letters: dict[str, int]


def count_records(settings: Settings) -> dict[str, int]:
    """Return the number of committed records of every topic; of a broadcast topic one partition's."""
    places = {
        (topic.name, partition): OFFSET_BEGINNING
        for topic in TOPICS.values()
        for partition in range(1 if topic.broadcast else settings.partitions)
    }
    counts = Counter(message.topic() for message in read_from(settings.kafka, places))
    return {name: counts[name] for name in TOPICS}


def count_dead_letters(settings: Settings) -> dict[str, int]:
    """Return the number of dead letters of the topics that have any."""
    names = {topic.dead_letters: topic.name for topic in TOPICS.values()}
    places = {(letters, partition): OFFSET_BEGINNING for letters in names for partition in range(settings.partitions)}
    counts = Counter(names[message.topic() or ""] for message in read_from(settings.kafka, places))
    return dict(counts)


def count_rows(settings: Settings) -> dict[str, int]:
    """Return the number of rows of every table that keeps a topic."""
    client = connect(settings)
    try:
        tables = [topic.table for topic in TOPICS.values() if topic.kept]
        return {table: int(client.query(f"SELECT count() FROM quantum.{table}").result_rows[0][0]) for table in tables}
    finally:
        client.close()


def stage_lag(settings: Settings) -> dict[str, int]:
    """Return how many records each stage has yet to read: read and counted, because offsets count transaction markers too."""
    topics = {topic for stage in STAGES for topic in NODES[stage].reads}
    progress = Offsets(settings).look(topics, [application_id(stage) for stage in STAGES])
    out = {}
    for stage in STAGES:
        group = application_id(stage)
        behind = [place for place in progress.ends if place[0] in NODES[stage].reads and progress.behind(group, place)]
        starts = {place: progress.committed.get(group, {}).get(place, 0) for place in behind}
        out[stage] = sum(1 for _ in read_from(settings.kafka, starts))
    return out


def latencies(histograms: Mapping[str, Buckets]) -> dict[str, Latency]:
    """Return the latency of every stage that sent something."""
    out = {}
    for stage, buckets in histograms.items():
        p50, p99 = quantile(buckets, 0.5), quantile(buckets, 0.99)
        if p50 is not None and p99 is not None:
            out[stage] = Latency(p50=round(p50 * 1000, 2), p99=round(p99 * 1000, 2))
    return {stage: out[stage] for stage in STAGES if stage in out}


def profit(seen: Seen) -> dict[str, str]:
    """Return the profit of the closed trades and the change of equity, quote currency."""
    change = Decimal(0) if seen.snapshot is None else seen.snapshot.equity - seen.first_equity
    return {
        "gross": f"{sum((trade.gross_pnl for trade in seen.closed), Decimal(0)):.4f}",
        "fees": f"{sum((trade.fees for trade in seen.closed), Decimal(0)):.4f}",
        "net": f"{sum((trade.net_pnl for trade in seen.closed), Decimal(0)):.4f}",
        "equity_change": f"{change:.4f}",
    }


def render(summary: Summary, next_steps: list[str]) -> RenderableType:
    """Return the summary for a terminal."""
    flow = Table(title="from frame to closed trade", title_justify="left", header_style="bold")
    flow.add_column("topic")
    flow.add_column("records", justify="right")
    flow.add_column("rows in the history", justify="right")
    for name, records in summary.records_per_topic.items():
        rows = summary.rows_per_table.get(TOPICS[name].table)
        flow.add_row(name, f"{records:,}", "-" if rows is None else f"{rows:,}")
    facts = Table(show_header=False, box=None)
    facts.add_column(style="bold")
    facts.add_column()
    for name, value in _facts(summary):
        facts.add_row(name, value)
    return Group(
        flow, Panel(facts, title=f"{summary.source}, {summary.seconds:.0f} s, account {summary.account}", title_align="left"), *next_steps
    )


def _facts(summary: Summary) -> list[tuple[str, str]]:
    def counted(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1])) or "none"

    latency = ", ".join(f"{stage} {each.p50:g}/{each.p99:g}" for stage, each in summary.latency_ms.items())
    return [
        ("signals", f"{summary.signals:,} ({counted(summary.directions)})"),
        ("denials", counted(summary.denials)),
        ("orders, fills", f"{summary.orders}, {summary.fills}"),
        ("rejections", counted(summary.rejections)),
        ("closed trades", f"{summary.closed_trades} ({counted(summary.exit_reasons)})"),
        ("profit", ", ".join(f"{name} {value}" for name, value in summary.pnl.items()) + " USDT, paper"),
        ("latency p50/p99 ms", latency or "none"),
        ("lag", counted({stage: lag for stage, lag in summary.lag.items() if lag})),
        ("memory", ", ".join(f"{name} {value:,.0f} MB" for name, value in summary.memory_mb.items())),
        ("dead letters", counted(summary.dead_letters)),
        ("errors", "; ".join(summary.errors) or "none"),
    ]


def summarise(
    settings: Settings,
    seen: Seen,
    histograms: Mapping[str, Buckets],
    memory_mb: dict[str, float],
    errors: list[str],
    source: str,
    seconds: float,
) -> Summary:
    """Return the account of a run, counted on the topics and in the tables."""
    return Summary(
        source=source, seconds=round(seconds, 1), account=settings.account, records_per_topic=count_records(settings),
        rows_per_table=count_rows(settings), signals=seen.signals, directions=dict(seen.directions), denials=dict(seen.denials),
        orders=seen.orders, fills=seen.fills, rejections=dict(seen.rejections), closed_trades=len(seen.closed),
        exit_reasons=dict(Counter(str(trade.exit_reason) for trade in seen.closed)), pnl=profit(seen), latency_ms=latencies(histograms),
        lag=stage_lag(settings), memory_mb=memory_mb, errors=errors, dead_letters=count_dead_letters(settings),
    )  # fmt: skip
