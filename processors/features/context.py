"""What other topics than bars say of a symbol: books, funding, open interest, other venues; and the features at a bar's close."""

from __future__ import annotations

from collections.abc import Iterable
from operator import mul

import msgspec

from ml.features import context
from processors.features.held import keep, last_before
from processors.features.quotes import Flows, Quotes, imbalance
from processors.features.rules import Rules
from processors.output import Output
from schemas.common import BookState
from schemas.market.records import ExchangeNormalized, MarketDepth, MarketFunding, MarketKline


class Depth(msgspec.Struct):
    """What is needed of a book's levels at a time, microseconds; null while it is not known.

    Attributes
    ----------
    ts : int
        The time.
    imbalance_5, imbalance_10 : float or None
        Imbalances of the best 5 and 10 levels.
    notional : float or None
        Value of the best levels of the thinner side, quote currency.
    """

    ts: int
    imbalance_5: float | None = None
    imbalance_10: float | None = None
    notional: float | None = None


class Funding(msgspec.Struct):
    """Funding and open interest.

    Attributes
    ----------
    ts, next_ts : int
        When it was said, and when the funding comes, microseconds.
    rate : float
        Fraction.
    open_interest : float or None
        Base asset, or contracts.
    open_interest_ts : int or None
        When it held, microseconds.
    """

    ts: int
    rate: float
    next_ts: int
    open_interest: float | None = None
    open_interest_ts: int | None = None


class Comparison(msgspec.Struct):
    """Venues compared: when (microseconds), perpetual over spot minus 1, largest divergence (basis points), and how many took part."""

    ts: int
    basis: float | None
    divergence_bps: float
    venues: int


class Books(msgspec.Struct):
    """The venue's book at the end of each second that a bar may still ask for."""

    held: list[Depth] = []


class Context(msgspec.Struct):
    """Funding and comparisons at the end of each second that a bar may still ask for."""

    funding: list[Funding] = []
    compared: list[Comparison] = []


def on_depth(rules: Rules, books: Books, record: MarketDepth) -> Iterable[Output]:
    """Keep the newest levels of the venue's book; a book that is not known says nothing from then on."""
    if record.venue == rules.venue:
        depth = Depth(record.event_ts)
        if record.state is BookState.LIVE:
            depth.imbalance_5 = context.depth_imbalance(record.bid_quantities, record.ask_quantities, 5)
            depth.imbalance_10 = context.depth_imbalance(record.bid_quantities, record.ask_quantities, 10)
            depth.notional = min(
                sum(map(mul, record.bid_prices, record.bid_quantities)), sum(map(mul, record.ask_prices, record.ask_quantities))
            )
        keep(books.held, depth)
    return ()


def on_funding(rules: Rules, state: Context, record: MarketFunding) -> Iterable[Output]:
    """Keep the newest funding and open interest of the venue."""
    if record.venue == rules.venue:
        said = Funding(record.event_ts, record.funding_rate, record.next_funding_ts, record.open_interest, record.open_interest_ts)
        keep(state.funding, said)
    return ()


def on_normalized(state: Context, record: ExchangeNormalized) -> Iterable[Output]:
    """Keep the newest comparison of the venues."""
    keep(state.compared, Comparison(record.event_ts, record.basis, record.divergence_bps, len(record.venues)))
    return ()


def context_features(rules: Rules, quotes: Quotes, flows: Flows, books: Books, state: Context, bar: MarketKline) -> dict[str, float | None]:
    """Return the context features at the close of a bar; null where what they need is missing or too old."""
    close_ts, oldest = bar.close_ts, bar.close_ts - rules.max_age_us
    quote = last_before(quotes.seconds, close_ts, oldest)
    depth = last_before(books.held, close_ts, oldest)
    funding = last_before(state.funding, close_ts, oldest)
    compared = last_before(state.compared, close_ts, oldest)
    return {
        "spread_bps": None if quote is None else context.spread_bps(quote.bid_price, quote.ask_price),
        "microprice_offset_bps": (
            None
            if quote is None
            else context.microprice_offset_bps(quote.bid_price, quote.bid_quantity, quote.ask_price, quote.ask_quantity)
        ),
        "top_imbalance": None if quote is None else context.top_imbalance(quote.bid_quantity, quote.ask_quantity),
        "order_flow_imbalance": None if quote is None else imbalance(flows, bar),
        "funding_rate": None if funding is None else funding.rate,
        "time_to_funding_s": None if funding is None else context.time_to_funding_s(close_ts, funding.next_ts),
        "basis": None if compared is None else compared.basis,
        "exchange_divergence_bps": None if compared is None or compared.venues < 2 else compared.divergence_bps,
        "depth_imbalance_5": None if depth is None else depth.imbalance_5,
        "depth_imbalance_10": None if depth is None else depth.imbalance_10,
    }


def open_interest(rules: Rules, state: Context, bar: MarketKline) -> float | None:
    """Return the open interest at the close of a bar; None where it is not known, or too old."""
    oldest = bar.close_ts - rules.max_age_us
    funding = last_before(state.funding, bar.close_ts, oldest)
    if funding is None or funding.open_interest_ts is None or funding.open_interest_ts < oldest:
        return None
    return funding.open_interest
