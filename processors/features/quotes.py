"""Quotes of the traded venue: the last one of each second, and the order flow of every bar that is not closed."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ml.features.flow import Flow, order_flow
from processors.features.held import KEPT
from processors.features.rules import Rules
from processors.market.bars import INTERVALS, SECOND
from processors.output import Output
from schemas.market.records import MarketKline, MarketQuote

LENGTHS = {"1s": SECOND, **dict(INTERVALS)}
"""Bars and their lengths, microseconds."""


class Second(msgspec.Struct, array_like=True):
    """The last quote of a second, and the order flow of the second's quotes.

    Attributes
    ----------
    ts : int
        Event time of the quote, microseconds.
    bid_price, ask_price : float
        Quote currency.
    bid_quantity, ask_quantity : float
        Base asset.
    flow : Flow
        Of the quotes that no bar has counted yet.
    """

    ts: int
    bid_price: float
    bid_quantity: float
    ask_price: float
    ask_quantity: float
    flow: Flow


class Quotes(msgspec.Struct):
    """Seconds that a bar may still ask for; kept by itself because it changes more often than all else.

    Attributes
    ----------
    seconds : list of Second
        By time; the first may be of a second whose bar is closed.
    """

    seconds: list[Second] = []


class OpenFlow(msgspec.Struct, array_like=True):
    """Order flow of a bar that is not closed, which began at ``open_ts``, microseconds."""

    open_ts: int
    flow: Flow


class Flows(msgspec.Struct):
    """Order flow of open bars by interval, and the end of the last second that they count, microseconds."""

    closed_to: int = 0
    open: dict[str, OpenFlow] = {}


def on_quote(rules: Rules, quotes: Quotes, record: MarketQuote) -> Iterable[Output]:
    """Count a quote of the venue; one that is crossed, or older than the newest, is left out."""
    if record.venue != rules.venue or not 0.0 < record.bid_price <= record.ask_price:
        return ()
    seconds, ts = quotes.seconds, record.event_ts
    last = seconds[-1] if seconds else None
    if last is not None and ts < last.ts:
        return ()
    changed = order_flow(last, record) if last is not None and ts - last.ts <= rules.max_age_us else 0.0
    if last is None or ts // SECOND != last.ts // SECOND:
        last = Second(ts, 0.0, 0.0, 0.0, 0.0, Flow())
        seconds.append(last)
        del seconds[:-KEPT]
    last.ts = ts
    last.bid_price, last.bid_quantity = record.bid_price, record.bid_quantity
    last.ask_price, last.ask_quantity = record.ask_price, record.ask_quantity
    last.flow.flow += changed
    last.flow.depth += 0.5 * (record.bid_quantity + record.ask_quantity)
    last.flow.quotes += 1
    return ()


def close_second(rules: Rules, quotes: Quotes, flows: Flows, bar: MarketKline) -> None:
    """Count the quotes of a closed bar of 1 s in every bar that it is a part of.

    A quote that comes after the bar of its second counts in the next one.
    """
    if bar.close_ts <= flows.closed_to:
        return
    since = 0 if bar.open_ts == flows.closed_to else bar.open_ts
    flows.closed_to = bar.close_ts
    counted = Flow()
    for second in quotes.seconds:
        if since <= second.ts < bar.close_ts:
            counted.add(second.flow)
            second.flow = Flow()
    for interval, length in LENGTHS.items():
        if rules.wants(interval):
            start = bar.open_ts - bar.open_ts % length
            whole = flows.open.get(interval)
            if whole is None or whole.open_ts != start:
                whole = flows.open[interval] = OpenFlow(start, Flow())
            whole.flow.add(counted)


def imbalance(flows: Flows, bar: MarketKline) -> float | None:
    """Return the order-flow imbalance of a closed bar; None where it was not counted."""
    whole = flows.open.get(bar.interval)
    return whole.flow.imbalance() if whole is not None and whole.open_ts == bar.open_ts else None
