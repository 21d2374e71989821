"""Websocket frames and REST rows of market data, as the venue writes them.

Field names and order follow recorded frames: `usdm` trades carry ``X``, `spot` trades ``M``; a `spot` bookTicker has no ``e``, ``E``
or ``T``.
Prices and quantities are strings, times milliseconds.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from connectors.exchange.simulated.instruments import Instrument, Product
from connectors.exchange.simulated.market import MarkPrice, SymbolMarket
from connectors.exchange.simulated.tape import AggTrade, Bar, Trade

Json = dict[str, Any]


def milliseconds(ts_us: int) -> int:
    """Return microseconds as whole milliseconds."""
    return ts_us // 1000


def trade(rules: Instrument, t: Trade, event_ms: int) -> Json:
    """Return a `trade` frame."""
    price, quantity, at = rules.price_text(t.price), rules.quantity_text(t.lots), milliseconds(t.ts_us)
    if rules.product is Product.SPOT:
        return {
            "e": "trade",
            "E": event_ms,
            "s": rules.symbol,
            "t": t.id,
            "p": price,
            "q": quantity,
            "T": at,
            "m": t.buyer_maker,
            "M": True,
        }
    return {
        "e": "trade",
        "E": event_ms,
        "T": at,
        "s": rules.symbol,
        "t": t.id,
        "p": price,
        "q": quantity,
        "X": "MARKET",
        "m": t.buyer_maker,
    }


def agg_trade(rules: Instrument, a: AggTrade, event_ms: int) -> Json:
    """Return an `aggTrade` frame."""
    return {"e": "aggTrade", "E": event_ms, "s": rules.symbol, **_agg_fields(rules, a)}


def book_ticker(market: SymbolMarket, event_ms: int) -> Json:
    """Return a `bookTicker` frame."""
    rules, book = market.rules, market.book
    prices = {
        "s": rules.symbol,
        "b": rules.price_text(book.bid),
        "B": rules.quantity_text(book.bid_lots),
        "a": rules.price_text(book.ask),
        "A": rules.quantity_text(book.ask_lots),
    }
    if rules.product is Product.SPOT:
        return {"u": book.update_id, **prices}
    return {"e": "bookTicker", "u": book.update_id, **prices, "T": milliseconds(market.quote_us), "E": event_ms}


def levels(rules: Instrument, rows: dict[int, int], *, bids: bool) -> list[list[str]]:
    """Return changed price levels, best first."""
    return [[rules.price_text(p), rules.quantity_text(q)] for p, q in sorted(rows.items(), reverse=bids)]


def depth_update(market: SymbolMarket, change: tuple[int, int, int, dict[int, int], dict[int, int]], event_ms: int) -> Json:
    """Return a `depthUpdate` frame of one change that :meth:`DepthFeed.take` gave."""
    rules = market.rules
    first, last, previous, bids, asks = change
    sides = {"b": levels(rules, bids, bids=True), "a": levels(rules, asks, bids=False)}
    if rules.product is Product.SPOT:
        return {"e": "depthUpdate", "E": event_ms, "s": rules.symbol, "U": first, "u": last, **sides}
    at = milliseconds(market.quote_us)
    return {"e": "depthUpdate", "E": event_ms, "T": at, "s": rules.symbol, "U": first, "u": last, "pu": previous, **sides}


def mark_price(rules: Instrument, mark: MarkPrice, event_ms: int) -> Json:
    """Return a `markPriceUpdate` frame."""
    return {
        "e": "markPriceUpdate",
        "E": event_ms,
        "s": rules.symbol,
        "p": eight(mark.mark),
        "P": eight(mark.mark),
        "i": eight(mark.index),
        "r": eight(mark.rate),
        "T": milliseconds(mark.next_funding_us),
    }


def kline(rules: Instrument, interval: str, bar: Bar, event_ms: int, *, closed: bool) -> Json:
    """Return a `kline` frame."""
    row = kline_row(rules, bar)
    k = {
        "t": row[0],
        "T": row[6],
        "s": rules.symbol,
        "i": interval,
        "f": bar.first_id,
        "L": bar.last_id,
        "o": row[1],
        "c": row[4],
        "h": row[2],
        "l": row[3],
        "v": row[5],
        "n": bar.trades,
        "x": closed,
        "q": row[7],
        "V": row[9],
        "Q": row[10],
        "B": "0",
    }
    return {"e": "kline", "E": event_ms, "s": rules.symbol, "k": k}


def kline_row(rules: Instrument, bar: Bar) -> list[Any]:
    """Return one row of REST `klines`."""
    value = rules.tick_size * rules.step_size
    return [
        milliseconds(bar.open_us),
        rules.price_text(bar.open),
        rules.price_text(bar.high),
        rules.price_text(bar.low),
        rules.price_text(bar.close),
        rules.quantity_text(bar.volume),
        milliseconds(bar.close_us) - 1,
        plain(value * bar.turnover),
        bar.trades,
        rules.quantity_text(bar.buy_volume),
        plain(value * bar.buy_turnover),
        "0",
    ]


def trade_row(rules: Instrument, t: Trade) -> Json:
    """Return one row of REST `trades`."""
    row = {
        "id": t.id,
        "price": rules.price_text(t.price),
        "qty": rules.quantity_text(t.lots),
        "quoteQty": plain(rules.price(t.price) * rules.quantity(t.lots)),
        "time": milliseconds(t.ts_us),
        "isBuyerMaker": t.buyer_maker,
    }
    return {**row, "isBestMatch": True} if rules.product is Product.SPOT else row


def agg_trade_row(rules: Instrument, a: AggTrade) -> Json:
    """Return one row of REST `aggTrades`."""
    return _agg_fields(rules, a)


def eight(value: Decimal) -> str:
    """Return a number with eight decimals."""
    return f"{value:.8f}"


def plain(value: Decimal) -> str:
    """Return a number without exponent."""
    return f"{value:f}"


def _agg_fields(rules: Instrument, a: AggTrade) -> Json:
    fields = {
        "a": a.id,
        "p": rules.price_text(a.price),
        "q": rules.quantity_text(a.lots),
        "f": a.first,
        "l": a.last,
        "T": milliseconds(a.ts_us),
        "m": a.buyer_maker,
    }
    return {**fields, "M": True} if rules.product is Product.SPOT else fields
