"""Feature vectors and regimes at the close of every bar of one venue and one interval; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from ml.features import context
from ml.features.bars import BarFeatures, is_warm
from ml.features.regime import RegimeRules, RegimeState
from processors.output import Output
from schemas.common import BookState
from schemas.features.records import Features, MarketRegime
from schemas.market.records import ExchangeNormalized, MarketDepth, MarketFunding, MarketKline, MarketQuote


@dataclass(frozen=True, slots=True)
class Rules:
    """What the stage computes on.

    Attributes
    ----------
    venue
        Venue whose bars, quotes and funding count.
    interval
        Length of the bars, as ``market.klines`` names it.
    max_age_us
        Age at the close of a bar, microseconds, from which what another topic last said is null in the vector.
    regime
        Thresholds of the regimes.
    """

    venue: str
    interval: str
    max_age_us: int = 60_000_000
    regime: RegimeRules = field(default_factory=RegimeRules)


class Quote(msgspec.Struct):
    """The last quote of a symbol; kept by itself because it changes more often than all else.

    Attributes
    ----------
    ts : int
        Its event time, microseconds; 0 before the first.
    bid_price, ask_price : float
        Quote currency.
    bid_quantity, ask_quantity : float
        Base asset.
    """

    ts: int = 0
    bid_price: float = 0.0
    bid_quantity: float = 0.0
    ask_price: float = 0.0
    ask_quantity: float = 0.0


class Depth(msgspec.Struct):
    """What the features need of the last levels of a symbol's book.

    Attributes
    ----------
    ts : int
        Their event time, microseconds; 0 before the first, and while the book is not known.
    newest : int
        Event time of the newest record, of whichever state, microseconds.
    imbalance_5, imbalance_10 : float | None
        Imbalance of the best 5 and 10 levels.
    """

    ts: int = 0
    newest: int = 0
    imbalance_5: float | None = None
    imbalance_10: float | None = None


class Context(msgspec.Struct):
    """The last funding and the last comparison of venues of a symbol; times are 0 before the first.

    Attributes
    ----------
    funding_ts, next_funding_ts : int
        When the funding was said, and when it comes, microseconds.
    funding_rate : float
        Fraction.
    normalized_ts : int
        When the venues were compared, microseconds.
    basis : float | None
        Perpetual over spot, minus 1.
    divergence_bps : float
        Largest divergence between venues.
    venues : int
        Venues that took part.
    """

    funding_ts: int = 0
    next_funding_ts: int = 0
    funding_rate: float = 0.0
    normalized_ts: int = 0
    basis: float | None = None
    divergence_bps: float = 0.0
    venues: int = 0


class SymbolState(msgspec.Struct):
    """Bar features and regime of a symbol."""

    features: BarFeatures = msgspec.field(default_factory=BarFeatures)
    regime: RegimeState = msgspec.field(default_factory=RegimeState)


def on_quote(rules: Rules, quote: Quote, record: MarketQuote) -> Iterable[Output]:
    """Keep the newest quote of the venue."""
    if record.venue == rules.venue and record.event_ts >= quote.ts and 0.0 < record.bid_price <= record.ask_price:
        quote.ts = record.event_ts
        quote.bid_price = record.bid_price
        quote.bid_quantity = record.bid_quantity
        quote.ask_price = record.ask_price
        quote.ask_quantity = record.ask_quantity
    return ()


def on_depth(rules: Rules, depth: Depth, record: MarketDepth) -> Iterable[Output]:
    """Keep the newest levels of the venue's book; a book that is not known says nothing from then on."""
    if record.venue == rules.venue and record.event_ts >= depth.newest:
        depth.newest = record.event_ts
        depth.ts = record.event_ts if record.state is BookState.LIVE else 0
        depth.imbalance_5 = context.depth_imbalance(record.bid_quantities, record.ask_quantities, 5)
        depth.imbalance_10 = context.depth_imbalance(record.bid_quantities, record.ask_quantities, 10)
    return ()


def on_funding(rules: Rules, state: Context, record: MarketFunding) -> Iterable[Output]:
    """Keep the newest funding of the venue."""
    if record.venue == rules.venue and record.event_ts >= state.funding_ts:
        state.funding_ts = record.event_ts
        state.funding_rate = record.funding_rate
        state.next_funding_ts = record.next_funding_ts
    return ()


def on_normalized(state: Context, record: ExchangeNormalized) -> Iterable[Output]:
    """Keep the newest comparison of the venues."""
    if record.event_ts >= state.normalized_ts:
        state.normalized_ts = record.event_ts
        state.basis = record.basis
        state.divergence_bps = record.divergence_bps
        state.venues = len(record.venues)
    return ()


def context_features(rules: Rules, quote: Quote, depth: Depth, state: Context, close_ts: int) -> dict[str, float | None]:
    """Return the context features at the close of a bar; null where what they need is missing or too old."""
    oldest = close_ts - rules.max_age_us
    quoted, funded = quote.ts > 0 and quote.ts >= oldest, state.funding_ts > 0 and state.funding_ts >= oldest
    known = depth.ts > 0 and depth.ts >= oldest
    compared = state.normalized_ts > 0 and state.normalized_ts >= oldest
    return {
        "spread_bps": context.spread_bps(quote.bid_price, quote.ask_price) if quoted else None,
        "microprice_offset_bps": (
            context.microprice_offset_bps(quote.bid_price, quote.bid_quantity, quote.ask_price, quote.ask_quantity) if quoted else None
        ),
        "top_imbalance": context.top_imbalance(quote.bid_quantity, quote.ask_quantity) if quoted else None,
        "funding_rate": state.funding_rate if funded else None,
        "time_to_funding_s": context.time_to_funding_s(close_ts, state.next_funding_ts) if funded else None,
        "basis": state.basis if compared else None,
        "exchange_divergence_bps": state.divergence_bps if compared and state.venues > 1 else None,
        "depth_imbalance_5": depth.imbalance_5 if known else None,
        "depth_imbalance_10": depth.imbalance_10 if known else None,
    }


def on_kline(rules: Rules, state: SymbolState, quote: Quote, depth: Depth, around: Context, bar: MarketKline) -> Iterable[Output]:
    """Return the vector and the regime at the close of a bar; nothing for a bar of another venue or interval, or seen before."""
    if bar.venue != rules.venue or bar.interval != rules.interval:
        return ()
    values = state.features.update(bar)
    if values is None:
        return ()
    beside = context_features(rules, quote, depth, around, bar.close_ts)
    regime = state.regime.update(rules.regime, bar.close_ts, values["log_return_1"], bar.volume, beside["spread_bps"])
    key = f"{bar.venue}:{bar.symbol}:{bar.interval}:{bar.close_ts}"
    return (
        Output(
            "features",
            bar.symbol,
            Features(
                event_id=f"{key}:features",
                event_ts=bar.close_ts,
                ingest_ts=bar.ingest_ts,
                venue=bar.venue,
                symbol=bar.symbol,
                interval=bar.interval,
                bar_close_ts=bar.close_ts,
                close=bar.close,
                warm=is_warm(values),
                **values,
                **beside,
            ),
        ),
        Output(
            "market.regime",
            bar.symbol,
            MarketRegime(
                event_id=f"{key}:regime",
                event_ts=bar.close_ts,
                ingest_ts=bar.ingest_ts,
                venue=bar.venue,
                symbol=bar.symbol,
                regime=regime,
                since_ts=state.regime.since_ts,
                trend_score=state.regime.trend_score,
                volatility_ratio=state.regime.volatility_ratio,
                spread_bps=beside["spread_bps"],
            ),
        ),
    )
