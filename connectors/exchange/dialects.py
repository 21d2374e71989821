"""Which venue speaks which dialect, and how much of its books is kept."""

from __future__ import annotations

from connectors.exchange.binance.dialect import BinanceDialect
from connectors.exchange.book.book import BookRules
from connectors.exchange.bybit.dialect import BybitDialect
from connectors.exchange.coinbase.dialect import CoinbaseDialect
from connectors.exchange.market_data import Dialect
from connectors.exchange.payload import corrupt
from connectors.exchange.venues import BYBIT_LINEAR, BYBIT_SPOT, COINBASE, COINM, SPOT, USDM
from schemas.exchange.records import ExchangeFrame

_BINANCE, _BYBIT, _COINBASE = BinanceDialect(), BybitDialect(), CoinbaseDialect()
_DIALECTS: dict[str, Dialect] = {
    SPOT.name: _BINANCE,
    USDM.name: _BINANCE,
    COINM.name: _BINANCE,
    BYBIT_LINEAR.name: _BYBIT,
    BYBIT_SPOT.name: _BYBIT,
    COINBASE.name: _COINBASE,
}
_BOOK_RULES = {venue.name: BookRules(keep=venue.kept_levels) for venue in (SPOT, USDM, COINM, BYBIT_LINEAR, BYBIT_SPOT, COINBASE)}


def dialect_of(frame: ExchangeFrame) -> Dialect:
    """Return the dialect of a frame's venue; raises CorruptRecordError where no venue is called so."""
    dialect = _DIALECTS.get(frame.venue)
    if dialect is None:
        raise corrupt(frame, f"no venue is called {frame.venue}")
    return dialect


def counts_trades(venue: str) -> bool:
    """Return whether trade ids of a venue's symbol grow by one, so that a gap shows."""
    return _DIALECTS[venue].counts_trades


def book_rules(venue: str) -> BookRules:
    """Return how much of a venue's books is kept, by the feed and by the market stage alike."""
    return _BOOK_RULES[venue]
