"""Market-data REST endpoints of both products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.exchange.simulated import frames
from connectors.exchange.simulated.endpoint import Endpoint, Params, Security
from connectors.exchange.simulated.instruments import Instrument, Product
from connectors.exchange.simulated.limits import ORDERS_PER_MINUTE, ORDERS_PER_TEN_SECONDS, WEIGHT_PER_MINUTE
from connectors.exchange.simulated.market import SymbolMarket
from connectors.exchange.simulated.refusal import refusal
from connectors.exchange.simulated.tape import INTERVALS_US

PREFIX = {Product.USDM: "/fapi/v1", Product.SPOT: "/api/v3"}
_HOUR_MS = 3_600_000


def general_endpoints(product: Product, instruments: dict[str, Instrument], clock: Callable[[], int]) -> list[Endpoint]:
    """Return ping, time and exchangeInfo."""
    prefix = PREFIX[product]
    spot = product is Product.SPOT

    async def ping(_: Params) -> Any:
        return {}

    async def time(_: Params) -> Any:
        return {"serverTime": clock() // 1000}

    async def exchange_info(params: Params) -> Any:
        wanted = params.optional("symbol")
        if wanted is not None and wanted not in instruments:
            raise refusal(-1121)
        rows = [_symbol_info(rules) for symbol, rules in instruments.items() if wanted in (None, symbol)]
        limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_PER_MINUTE[product]}]
        if not spot:
            limits += [
                {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": ORDERS_PER_MINUTE},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": ORDERS_PER_TEN_SECONDS},
            ]
        return {"timezone": "UTC", "serverTime": clock() // 1000, "rateLimits": limits, "exchangeFilters": [], "symbols": rows}

    return [
        Endpoint("GET", f"{prefix}/ping", ping),
        Endpoint("GET", f"{prefix}/time", time),
        Endpoint("GET", f"{prefix}/exchangeInfo", exchange_info, 20 if spot else 1),
    ]


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
        return [
            Endpoint("GET", f"{prefix}/depth", self.depth, _usdm_depth_weight),
            Endpoint("GET", f"{prefix}/trades", self.trades, 5),
            Endpoint("GET", f"{prefix}/historicalTrades", self.historical_trades, 20, Security.KEY),
            Endpoint("GET", f"{prefix}/aggTrades", self.agg_trades, 20),
            Endpoint("GET", f"{prefix}/klines", self.klines, _klines_weight),
            Endpoint("GET", f"{prefix}/ticker/bookTicker", self.book_ticker, lambda p: 2 if p.optional("symbol") else 5),
            Endpoint("GET", f"{prefix}/premiumIndex", self.premium_index, lambda p: 1 if p.optional("symbol") else 10),
            Endpoint("GET", f"{prefix}/fundingRate", self.funding_rate),
        ]

    async def depth(self, params: Params) -> Any:
        """Snapshot of the book."""
        market = self._market(params)
        limit = params.integer("limit", least=1) or (100 if self._product is Product.SPOT else 500)
        if self._product is Product.USDM and limit not in (5, 10, 20, 50, 100, 500, 1000):
            raise refusal(-4021)
        rules, book = market.rules, market.book
        sides = {
            name: [[rules.price_text(p), rules.quantity_text(q)] for p, q in list(rows)[:limit]]
            for name, rows in (("bids", book.bids()), ("asks", book.asks()))
        }
        if self._product is Product.SPOT:
            return {"lastUpdateId": book.update_id, **sides}
        return {"lastUpdateId": book.update_id, "E": self._clock() // 1000, "T": market.quote_us // 1000, **sides}

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
            if self._product is Product.USDM and end - start >= _HOUR_MS:
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
        if interval not in INTERVALS_US or (interval == "1s" and self._product is Product.USDM):
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
            return self._premium(self._market(params))
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
        mark = market.mark
        return {
            "symbol": market.rules.symbol,
            "markPrice": frames.eight(mark.mark),
            "indexPrice": frames.eight(mark.index),
            "estimatedSettlePrice": frames.eight(mark.mark),
            "lastFundingRate": frames.eight(mark.rate),
            "interestRate": "0.00010000",
            "nextFundingTime": mark.next_funding_us // 1000,
            "time": self._clock() // 1000,
        }


def _symbol_info(rules: Instrument) -> frames.Json:
    tick, step = frames.plain(rules.tick_size), frames.plain(rules.step_size)
    most, market_most = frames.plain(rules.max_quantity), frames.plain(rules.market_max_quantity)
    filters: list[frames.Json] = [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": frames.plain(rules.max_price), "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": most, "stepSize": step},
        {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": market_most, "stepSize": step},
    ]
    common: frames.Json = {"symbol": rules.symbol, "status": "TRADING", "baseAsset": rules.base_asset, "quoteAsset": rules.quote_asset}
    if rules.product is Product.SPOT:
        notional = {"filterType": "NOTIONAL", "minNotional": frames.eight(rules.min_notional), "applyMinToMarket": True, "avgPriceMins": 5}
        precision = {"baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8}
        return {
            **common,
            **precision,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "isSpotTradingAllowed": True,
            "filters": [*filters, notional],
        }
    return {
        **common,
        "pair": rules.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "marginAsset": rules.quote_asset,
        "pricePrecision": rules.price_decimals,
        "quantityPrecision": rules.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": [*filters, {"filterType": "MIN_NOTIONAL", "notional": frames.plain(rules.min_notional)}],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def _usdm_depth_weight(params: Params) -> int:
    limit = params.integer("limit") or 500
    return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20


def _spot_depth_weight(params: Params) -> int:
    limit = params.integer("limit") or 100
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


def _klines_weight(params: Params) -> int:
    limit = params.integer("limit") or 500
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
