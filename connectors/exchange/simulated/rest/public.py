"""Market-data REST endpoints of a product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.dialect import frames
from connectors.exchange.simulated.market.instruments import Product
from connectors.exchange.simulated.market.symbol import SymbolMarket
from connectors.exchange.simulated.market.tape import INTERVALS_US, has_klines
from connectors.exchange.simulated.rest.endpoint import Endpoint, Params, Security
from connectors.exchange.simulated.rest.exchange_info import PREFIX

_HOUR_MS = 3_600_000


class MarketData:
    """Handlers over the generated markets of one product.

    Parameters
    ----------
    product
        The product.
    markets
        By symbol.
    clock
        Returns the time, microseconds.
    """

    def __init__(self, product: Product, markets: dict[str, SymbolMarket], clock: Callable[[], int]) -> None:
        self._product = product
        self._markets = markets
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints of the product."""
        prefix = PREFIX[self._product]
        if self._product is Product.SPOT:
            return [
                Endpoint("GET", f"{prefix}/depth", self.depth, _spot_depth_weight),
                Endpoint("GET", f"{prefix}/trades", self.trades, 25),
                Endpoint("GET", f"{prefix}/historicalTrades", self.historical_trades, 25),
                Endpoint("GET", f"{prefix}/aggTrades", self.agg_trades, 4),
                Endpoint("GET", f"{prefix}/klines", self.klines, 2),
                Endpoint("GET", f"{prefix}/ticker/bookTicker", self.book_ticker, lambda p: 2 if p.optional("symbol") else 4),
            ]
        klines = [Endpoint("GET", f"{prefix}/klines", self.klines, _klines_weight)] if self._product is Product.USDM else []
        return [
            *klines,
            Endpoint("GET", f"{prefix}/depth", self.depth, _futures_depth_weight),
            Endpoint("GET", f"{prefix}/trades", self.trades, 5),
            Endpoint("GET", f"{prefix}/historicalTrades", self.historical_trades, 20, Security.KEY),
            Endpoint("GET", f"{prefix}/aggTrades", self.agg_trades, 20),
            Endpoint("GET", f"{prefix}/ticker/bookTicker", self.book_ticker, lambda p: 2 if p.optional("symbol") else 5),
            Endpoint("GET", f"{prefix}/premiumIndex", self.premium_index, lambda p: 1 if p.optional("symbol") else 10),
            Endpoint("GET", f"{prefix}/fundingRate", self.funding_rate),
            Endpoint("GET", f"{prefix}/openInterest", self.open_interest),
        ]

    async def depth(self, params: Params) -> Any:
        """Snapshot of the book."""
        market = self._market(params)
        limit = params.integer("limit", least=1) or (100 if self._product is Product.SPOT else 500)
        if self._product.futures and limit not in (5, 10, 20, 50, 100, 500, 1000):
            raise refusal(-4021)
        return frames.depth_snapshot(market, limit, self._clock() // 1000)

    async def trades(self, params: Params) -> Any:
        """Newest trades, oldest first."""
        market = self._market(params)
        return [frames.trade_row(market.rules, t) for t in market.tape.by_id(None, params.limit(500, 1000))]

    async def historical_trades(self, params: Params) -> Any:
        """Trades from an id on, or the newest."""
        market = self._market(params)
        most = 1000 if self._product is Product.SPOT else 500
        return [frames.trade_row(market.rules, t) for t in market.tape.by_id(params.integer("fromId"), params.limit(min(500, most), most))]

    async def agg_trades(self, params: Params) -> Any:
        """Aggregate trades from an id on, or of a time range (at most an hour where both ends are given, on futures), or the newest."""
        market = self._market(params)
        from_id, start, end = params.integer("fromId"), params.integer("startTime"), params.integer("endTime")
        if from_id is not None and (start is not None or end is not None):
            raise refusal(-1128)
        if start is not None and end is not None:
            if end < start:
                raise refusal(-1128)
            if self._product.futures and end - start >= _HOUR_MS:
                raise refusal(-1127, 1)
        rows = market.tape.aggregates(
            from_id=from_id,
            start_us=None if start is None else start * 1000,
            end_us=None if end is None else end * 1000 + 999,
            limit=params.limit(500, 1000),
        )
        return [frames.agg_trade_row(market.rules, a) for a in rows]

    async def klines(self, params: Params) -> Any:
        """Bars by open time, the open one last."""
        market = self._market(params)
        interval = params.text("interval")
        if not has_klines(self._product, interval):
            raise refusal(-1120)
        width = INTERVALS_US[interval]
        limit = params.limit(500, 1000 if self._product is Product.SPOT else 1500)
        start, end = params.integer("startTime"), params.integer("endTime")
        end_us = self._clock() // width * width + width
        if end is not None:
            end_us = min(end_us, end * 1000 // width * width + width)
        start_us = end_us - limit * width if start is None else -(-start * 1000 // width) * width
        end_us = min(end_us, start_us + limit * width)
        return [frames.kline_row(market.rules, bar) for bar in market.tape.bars(interval, start_us, end_us)]

    async def book_ticker(self, params: Params) -> Any:
        """Best prices of one symbol or all."""
        if params.optional("symbol"):
            return self._ticker(self._market(params))
        return [self._ticker(market) for market in self._markets.values()]

    async def premium_index(self, params: Params) -> Any:
        """Mark price, index price and funding of one symbol or all."""
        if params.optional("symbol"):
            row = self._premium(self._market(params))
            return [row] if self._product is Product.COINM else row
        return [self._premium(market) for market in self._markets.values()]

    async def funding_rate(self, params: Params) -> Any:
        """Settled funding, oldest first."""
        symbol = params.optional("symbol")
        markets = [self._market(params)] if symbol else list(self._markets.values())
        start, end = params.integer("startTime"), params.integer("endTime")
        limit = params.limit(100, 1000)
        rows = [
            {"symbol": m.rules.symbol, "fundingTime": at // 1000, "fundingRate": frames.eight(rate), "markPrice": frames.eight(mark)}
            for m in markets
            for at, rate, mark in m.funding_history
            if (start is None or at // 1000 >= start) and (end is None or at // 1000 <= end)
        ]
        rows.sort(key=lambda row: int(str(row["fundingTime"])))
        return rows[:limit] if start is not None else rows[-limit:]

    async def open_interest(self, params: Params) -> Any:
        """Quantity that is held long."""
        market = self._market(params)
        rules = market.rules
        row = {"symbol": rules.symbol, "openInterest": rules.quantity_text(market.open_interest()), "time": self._clock() // 1000}
        return {**row, "pair": rules.pair, "contractType": "PERPETUAL"} if self._product is Product.COINM else row

    def _market(self, params: Params) -> SymbolMarket:
        market = self._markets.get(params.text("symbol"))
        if market is None:
            raise refusal(-1121)
        return market

    def _ticker(self, market: SymbolMarket) -> frames.Json:
        rules, book = market.rules, market.book
        row = {
            "symbol": rules.symbol,
            "bidPrice": rules.price_text(book.bid),
            "bidQty": rules.quantity_text(book.bid_lots),
            "askPrice": rules.price_text(book.ask),
            "askQty": rules.quantity_text(book.ask_lots),
        }
        return row if self._product is Product.SPOT else {**row, "lastUpdateId": book.update_id, "time": market.quote_us // 1000}

    def _premium(self, market: SymbolMarket) -> frames.Json:
        mark, rules = market.mark, market.rules
        return {
            "symbol": rules.symbol,
            **({"pair": rules.pair} if self._product is Product.COINM else {}),
            "markPrice": frames.eight(mark.mark),
            "indexPrice": frames.eight(mark.index),
            "estimatedSettlePrice": frames.eight(mark.mark),
            "lastFundingRate": frames.eight(mark.rate),
            "interestRate": "0.00010000",
            "nextFundingTime": mark.next_funding_us // 1000,
            "time": self._clock() // 1000,
        }


def _futures_depth_weight(params: Params) -> int:
    limit = params.integer("limit") or 500
    return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20


def _spot_depth_weight(params: Params) -> int:
    limit = params.integer("limit") or 100
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


def _klines_weight(params: Params) -> int:
    limit = params.integer("limit") or 500
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
