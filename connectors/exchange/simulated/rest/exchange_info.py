"""Endpoints that every product has: ping, time, and what is listed by which rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.dialect import frames
from connectors.exchange.simulated.market.instruments import Instrument, Product
from connectors.exchange.simulated.rest.endpoint import Endpoint, Params
from connectors.exchange.simulated.rest.limits import WEIGHT_PER_MINUTE, Limits

PREFIX = {Product.USDM: "/fapi/v1", Product.SPOT: "/api/v3", Product.COINM: "/dapi/v1"}


def general_endpoints(product: Product, instruments: Mapping[str, Instrument], limits: Limits, clock: Callable[[], int]) -> list[Endpoint]:
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
        rates = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_PER_MINUTE[product]}]
        rates += [
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": limits.orders_per_minute},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": limits.orders_per_ten_seconds},
        ]
        return {"timezone": "UTC", "serverTime": clock() // 1000, "rateLimits": rates, "exchangeFilters": [], "symbols": rows}

    return [
        Endpoint("GET", f"{prefix}/ping", ping),
        Endpoint("GET", f"{prefix}/time", time),
        Endpoint("GET", f"{prefix}/exchangeInfo", exchange_info, 20 if spot else 1),
    ]


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
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"],
            "cancelReplaceAllowed": True,
            "allowTrailingStop": False,
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
            "isSpotTradingAllowed": True,
            "filters": [*filters, notional],
        }
    if rules.product is Product.COINM:
        return {
            **common,
            "pair": rules.pair,
            "contractType": "PERPETUAL",
            "contractStatus": "TRADING",
            "contractSize": int(rules.contract_size),
            "marginAsset": rules.base_asset,
            "deliveryDate": 4133404800000,
            "onboardDate": 1597042800000,
            "pricePrecision": rules.price_decimals,
            "quantityPrecision": rules.quantity_decimals,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "equalQtyPrecision": 4,
            "underlyingType": "COIN",
            "filters": filters,
        }
    return {
        **common,
        "pair": rules.pair,
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
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }
