"""Binance's frames in the platform's form."""

from __future__ import annotations

from connectors.exchange.binance.depth import depth_of
from connectors.exchange.binance.instruments import instrument_of
from connectors.exchange.binance.payloads import mark_of, open_interest_of, quote_of, trades_of


class BinanceDialect:
    """See `Dialect`."""

    counts_trades = True
    trades = staticmethod(trades_of)
    quote = staticmethod(quote_of)
    mark = staticmethod(mark_of)
    open_interest = staticmethod(open_interest_of)
    instrument = staticmethod(instrument_of)
    depth = staticmethod(depth_of)
