"""Websocket frames and REST rows of market data, as the venue writes them.

Field names and order follow recorded frames: trades of futures carry ``X``, `spot` trades ``M``; a `spot` bookTicker has no ``e``, ``E``
or ``T``; quotes and depth of `coinm` name the pair, ``ps``.
Prices and quantities are strings, times milliseconds.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from typing import Any

from connectors.exchange.simulated.market.book import DepthChange
from connectors.exchange.simulated.market.instruments import Instrument, Product
from connectors.exchange.simulated.market.symbol import MarkPrice, SymbolMarket
from connectors.exchange.simulated.market.tape import AggTrade, Bar, Trade

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
    times = {"T": milliseconds(market.quote_us), "E": event_ms}
    if rules.product is Product.COINM:
        return {"u": book.update_id, "e": "bookTicker", "s": rules.symbol, "ps": rules.pair, **prices, **times}
    return {"e": "bookTicker", "u": book.update_id, **prices, **times}


def levels(rules: Instrument, rows: dict[int, int], *, bids: bool) -> list[list[str]]:
    """Return changed price levels, best first."""
    return [[rules.price_text(p), rules.quantity_text(q)] for p, q in sorted(rows.items(), reverse=bids)]


def depth_update(market: SymbolMarket, change: DepthChange, event_ms: int) -> Json:
    """Return a `depthUpdate` frame of what changed since the frame before it."""
    rules = market.rules
    sides = {"b": levels(rules, change.bids, bids=True), "a": levels(rules, change.asks, bids=False)}
    if rules.product is Product.SPOT:
        return {"e": "depthUpdate", "E": event_ms, "s": rules.symbol, "U": change.first, "u": change.last, **sides}
    ids = {"U": change.first, "u": change.last, "pu": change.previous}
    head = {"e": "depthUpdate", "E": event_ms, "T": milliseconds(market.quote_us), "s": rules.symbol}
    return {**head, "ps": rules.pair, **ids, **sides} if rules.product is Product.COINM else {**head, **ids, **sides}


def depth_snapshot(market: SymbolMarket, limit: int, event_ms: int) -> Json:
    """Return the REST snapshot of the best `limit` levels of each side."""
    rules, book = market.rules, market.book
    sides = {
        name: [[rules.price_text(p), rules.quantity_text(q)] for p, q in islice(rows, limit)]
        for name, rows in (("bids", book.bids()), ("asks", book.asks()))
    }
    if rules.product is Product.SPOT:
        return {"lastUpdateId": book.update_id, **sides}
    times = {"lastUpdateId": book.update_id, "E": event_ms, "T": milliseconds(market.quote_us)}
    return {**times, "symbol": rules.symbol, "pair": rules.pair, **sides} if rules.product is Product.COINM else {**times, **sides}


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
    price, quantity = rules.price(t.price), rules.quantity(t.lots)
    value = {"baseQty": eight(quantity * rules.contract_size / price)} if rules.contract_size else {"quoteQty": plain(price * quantity)}
    row = {
        "id": t.id,
        "price": rules.price_text(t.price),
        "qty": rules.quantity_text(t.lots),
        **value,
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
