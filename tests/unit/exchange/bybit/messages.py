"""Messages as Bybit's documentation shows them, with other values."""

from __future__ import annotations

from typing import Any

TS = 1_763_748_000_123


def trades(*rows: tuple[str, int, str, str, str], symbol: str = "BTCUSDT") -> dict[str, Any]:
    """Return a message of trades: id, time in milliseconds, side, quantity, price."""
    data = [
        {"T": at, "s": symbol, "S": side, "v": quantity, "p": price, "L": "PlusTick", "i": trade_id, "BT": False, "RPI": False, "seq": 9}
        for trade_id, at, side, quantity, price in rows
    ]
    return {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": rows[-1][1] + 3, "data": data}


def book(
    kind: str, update: int, sequence: int, bids: list[list[str]], asks: list[list[str]], levels: int = 200, symbol: str = "BTCUSDT"
) -> dict[str, Any]:
    """Return a message of a book."""
    data = {"s": symbol, "b": bids, "a": asks, "u": update, "seq": sequence}
    return {"topic": f"orderbook.{levels}.{symbol}", "type": kind, "ts": TS, "data": data, "cts": TS - 4}


TICKER = {
    "topic": "tickers.BTCUSDT",
    "type": "snapshot",
    "data": {
        "symbol": "BTCUSDT", "tickDirection": "ZeroMinusTick", "price24hPcnt": "-0.0041", "lastPrice": "84211.40",
        "prevPrice24h": "84558.10",
        "highPrice24h": "85120.00", "lowPrice24h": "83310.20", "prevPrice1h": "84190.00", "markPrice": "84213.17", "indexPrice": "84240.02",
        "openInterest": "51235.771", "openInterestValue": "4314726193.90", "turnover24h": "5127004120.5510", "volume24h": "60885.1250",
        "nextFundingTime": "1763769600000", "fundingRate": "-0.00003142", "bid1Price": "84211.30", "bid1Size": "4.116",
        "ask1Price": "84211.40", "ask1Size": "1.007", "preOpenPrice": "", "preQty": "", "curPreListingPhase": "",
    },
    "cs": 24987956059, "ts": TS,
}  # fmt: skip

LINEAR = {
    "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": "BTC", "quoteCoin": "USDT",
    "launchTime": "1584230400000", "deliveryTime": "0", "deliveryFeeRate": "", "priceScale": "2",
    "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
    "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
    "lotSizeFilter": {
        "maxOrderQty": "1190.000", "minOrderQty": "0.001", "qtyStep": "0.001", "postOnlyMaxOrderQty": "1190.000",
        "maxMktOrderQty": "119.000", "minNotionalValue": "5",
    },
    "unifiedMarginTrade": True, "fundingInterval": 480, "settleCoin": "USDT", "copyTrading": "both",
}  # fmt: skip
RISK_LIMIT = {
    "id": 1, "symbol": "BTCUSDT", "riskLimitValue": "2000000", "maintenanceMargin": "0.005", "initialMargin": "0.01", "isLowestRisk": 1,
    "maxLeverage": "100.00",
}  # fmt: skip
SPOT = {
    "symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "innovation": "0", "status": "Trading", "marginTrading": "utaOnly",
    "lotSizeFilter": {
        "basePrecision": "0.000001", "quotePrecision": "0.0000001", "minOrderQty": "0.000011", "maxOrderQty": "83.5", "minOrderAmt": "5",
        "maxOrderAmt": "8000000",
    },
    "priceFilter": {"tickSize": "0.1"}, "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.05"},
}  # fmt: skip


def rest_trade(trade_id: str, at: int, side: str = "Buy", size: str = "0.5", price: str = "84000.1") -> dict[str, Any]:
    """Return a row of ``recent-trade``."""
    return {
        "execId": trade_id, "symbol": "BTCUSDT", "price": price, "size": size, "side": side, "time": str(at), "isBlockTrade": False,
        "isRPITrade": False, "seq": "123",
    }  # fmt: skip
