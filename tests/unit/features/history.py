"""Feature vectors once as the stages make them, record by record, and once from the whole history of every topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np

from ml.features.regime import RegimeState
from ml.training.bars import Bars, Floats, Ints
from processors.features import context, logic, quotes
from processors.features.rules import Rules
from processors.market.consolidation import CrossState
from processors.market.consolidation import on_quote as compare
from processors.market.depth import DepthState, is_depth, on_depth
from processors.market.leadlag import LeadState
from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules as MarketRules
from schemas.common import BookState
from schemas.exchange.records import ExchangeFrame
from schemas.features.records import Features
from schemas.market.records import ExchangeNormalized, MarketDepth, MarketFunding, MarketKline, MarketQuote
from schemas.record import Record
from tests.unit.features.reference import Wide, reference

VENUE = "binance-usdm"
BPS = np.longdouble(10_000)
INTERVALS = ("1s", "1m", "5m", "15m", "1h")
RULES = Rules(VENUE, "1m", frozenset(INTERVALS))
COLUMNS = ("open_ts", "close_ts", "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume")


def log_of(items: Iterable[ExchangeFrame | Record]) -> list[Record]:
    """Return what the market stage makes of one symbol's frames, in its order; other records go on as they are."""
    rules, cross, leads = MarketRules(), CrossState(), LeadState()
    venues: defaultdict[str, VenueState] = defaultdict(VenueState)
    books: defaultdict[str, DepthState] = defaultdict(DepthState)
    log: list[Record] = []
    for item in items:
        if not isinstance(item, ExchangeFrame):
            log.append(item)
            continue
        made = on_depth(rules, books[item.venue], item) if is_depth(item) else on_frame(rules, venues[item.venue], item)
        for output in made:
            log.append(output.record)
            if isinstance(output.record, MarketQuote):
                log.extend(each.record for each in compare(rules, cross, leads, output.record))
    return log


def vectors_of(log: Iterable[Record], rules: Rules = RULES) -> list[Features]:
    """Return the vectors that the features stage makes of a log."""
    bars: defaultdict[str, logic.BarState] = defaultdict(logic.BarState)
    regime, around = RegimeState(), logic.Around()
    vectors: list[Features] = []
    for record in log:
        match record:
            case MarketQuote():
                quotes.on_quote(rules, around.quotes, record)
            case MarketDepth():
                context.on_depth(rules, around.books, record)
            case MarketFunding():
                context.on_funding(rules, around.context, record)
            case ExchangeNormalized():
                context.on_normalized(around.context, record)
            case MarketKline():
                made = logic.on_kline(rules, bars[record.interval], regime, around, record)
                vectors.extend(output.record for output in made if isinstance(output.record, Features))
    return vectors


def bars_of(log: Iterable[Record], interval: str) -> Bars:
    """Return the traded venue's bars of an interval."""
    rows = [record for record in log if isinstance(record, MarketKline) and (record.venue, record.interval) == (VENUE, interval)]
    return Bars(*(np.array([getattr(row, name) for row in rows]) for name in COLUMNS))


def recomputed(log: list[Record], interval: str, max_age_us: int = RULES.max_age_us) -> dict[str, Floats]:
    """Return every feature at every bar of an interval, shape (bars,), NaN where it is null, from whole columns."""
    bars = bars_of(log, interval)
    out: dict[str, Floats | Wide] = dict(reference(bars))
    quoted = [record for record in log if isinstance(record, MarketQuote) and record.venue == VENUE]
    bid, bids, ask, asks = (_column(quoted, name) for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity"))
    quote = _AsOf(quoted, bars, max_age_us)
    with np.errstate(invalid="ignore", divide="ignore"):
        mid = (bid + ask) / 2
        out["spread_bps"] = quote((ask - bid) / mid * BPS)
        out["microprice_offset_bps"] = quote(((bid * asks + ask * bids) / (bids + asks) / mid - 1) * BPS)
        out["top_imbalance"] = quote((bids - asks) / (bids + asks))
    out["order_flow_imbalance"] = _flow(quote.times, bid, bids, ask, asks, bars, max_age_us) + 0 * quote(bid)
    books = [record for record in log if isinstance(record, MarketDepth) and record.venue == VENUE]
    book = _AsOf(books, bars, max_age_us)
    for levels in (5, 10):
        out[f"depth_imbalance_{levels}"] = book(np.array([_depth_imbalance(record, levels) for record in books], dtype=np.longdouble))
    funded = [record for record in log if isinstance(record, MarketFunding) and record.venue == VENUE]
    funding = _AsOf(funded, bars, max_age_us)
    out["funding_rate"] = funding(_column(funded, "funding_rate"))
    left = (funding(_column(funded, "next_funding_ts")) - bars.close_ts) / 1_000_000
    out["time_to_funding_s"] = np.where(left >= 0, left, np.nan)
    held = funding(_column(funded, "open_interest"))
    held = np.where(funding(_column(funded, "open_interest_ts")) >= bars.close_ts - max_age_us, held, np.nan)
    out["open_interest_change"] = np.concatenate([np.full(min(20, len(held)), np.nan), held[20:] / held[:-20] - 1])
    compared = [record for record in log if isinstance(record, ExchangeNormalized)]
    comparison = _AsOf(compared, bars, max_age_us)
    out["basis"] = comparison(_column(compared, "basis"))
    several = np.array([len(record.venues) > 1 for record in compared])
    out["exchange_divergence_bps"] = comparison(np.where(several, _column(compared, "divergence_bps"), np.nan))
    return {name: np.asarray(values, dtype=np.float64) for name, values in out.items()}


class _AsOf:
    """Gives a column of records as of the end of every bar: the last that happened before it, NaN where that is too old."""

    def __init__(self, records: Iterable[Record], bars: Bars, max_age_us: int) -> None:
        self.times = np.array([record.event_ts for record in records], dtype=np.int64)
        assert (np.diff(self.times) >= 0).all()
        self._last = np.searchsorted(self.times, bars.close_ts, side="left") - 1
        self._known = self._last >= 0
        if len(self.times):
            self._known &= self.times[self._last] >= bars.close_ts - max_age_us

    def __call__(self, column: Wide) -> Wide:
        """Return the column's values at the bars' ends."""
        if not len(column):
            return np.full(len(self._last), np.nan, dtype=np.longdouble)
        return np.where(self._known, column[self._last], np.nan).astype(np.longdouble)


def _column(records: Iterable[Record], name: str) -> Wide:
    values: Iterable[float | None] = (getattr(record, name) for record in records)
    return np.array([np.nan if value is None else value for value in values], dtype=np.longdouble)


def _depth_imbalance(record: MarketDepth, levels: int) -> float:
    if record.state is not BookState.LIVE or min(len(record.bid_quantities), len(record.ask_quantities)) < levels:
        return np.nan
    bids, asks = (np.longdouble(sum(side[:levels])) for side in (record.bid_quantities, record.ask_quantities))
    return float((bids - asks) / (bids + asks))


def _flow(times: Ints, bid: Wide, bids: Wide, ask: Wide, asks: Wide, bars: Bars, max_age_us: int) -> Wide:
    """Order-flow imbalance of each bar: the definition of Cont, Kukanov and Stoikov, by columns."""
    step: Callable[[Wide], Wide] = np.diff
    change = (
        np.where(step(bid) >= 0, bids[1:], 0) - np.where(step(bid) <= 0, bids[:-1], 0)
        - np.where(step(ask) <= 0, asks[1:], 0) + np.where(step(ask) >= 0, asks[:-1], 0)
    )  # fmt: skip
    events = np.concatenate([[0], np.where(np.diff(times) <= max_age_us, change, 0)]).astype(np.longdouble)
    out = np.zeros(len(bars), dtype=np.longdouble)
    first, after = (np.searchsorted(times, ends, side="left") for ends in (bars.open_ts, bars.close_ts))
    for index, (start, end) in enumerate(zip(first, after, strict=True)):
        if end > start:
            depth = (bids[start:end] + asks[start:end]).mean() / 2
            out[index] = events[start:end].sum() / depth if depth > 0 else np.nan
    return out
