"""Messages as Coinbase's documentation shows them, with other values."""

from __future__ import annotations

from typing import Any


def match(trade_id: int, time: str = "2026-11-21T18:00:01.250613Z", side: str = "sell", kind: str = "match") -> dict[str, Any]:
    """Return a match; the side is the maker's."""
    return {
        "type": kind, "trade_id": trade_id, "maker_order_id": "ac928c66-ca53-498f-9c13-a110027a60e8",
        "taker_order_id": "132fb6ae-456b-4654-b4e0-d681ac05cea1", "side": side, "size": "0.0125", "price": "84120.07",
        "product_id": "BTC-USD", "sequence": 50 + trade_id, "time": time,
    }  # fmt: skip


def rest_trade(trade_id: int, time: str = "2026-11-21T18:00:01.250613Z") -> dict[str, Any]:
    """Return a row of ``trades``."""
    return {"trade_id": trade_id, "side": "sell", "size": "0.01250000", "price": "84120.07000000", "time": time}


def ticker(sequence: int) -> dict[str, Any]:
    """Return a ticker."""
    return {
        "type": "ticker", "sequence": sequence, "product_id": "BTC-USD", "price": "84120.07", "open_24h": "84500", "volume_24h": "9120.7",
        "low_24h": "83900.1", "high_24h": "85210", "volume_30d": "301245.1", "best_bid": "84120.06", "best_bid_size": "0.51",
        "best_ask": "84120.07", "best_ask_size": "0.02", "side": "buy", "time": "2026-11-21T18:00:01.250613Z", "trade_id": 7,
        "last_size": "0.0125",
    }  # fmt: skip


def snapshot(bids: list[list[str]], asks: list[list[str]]) -> dict[str, Any]:
    """Return a snapshot of a book."""
    return {"type": "snapshot", "product_id": "BTC-USD", "bids": bids, "asks": asks}


def change(*changes: list[str]) -> dict[str, Any]:
    """Return changes of a book: side, price, size."""
    return {"type": "l2update", "product_id": "BTC-USD", "time": "2026-11-21T18:00:01.300000Z", "changes": list(changes)}


PRODUCT = {
    "id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "quote_increment": "0.01", "base_increment": "0.00000001",
    "display_name": "BTC-USD", "min_market_funds": "1", "margin_enabled": False, "post_only": False, "limit_only": False,
    "cancel_only": False, "status": "online", "status_message": "", "trading_disabled": False, "fx_stablecoin": False,
    "max_slippage_percentage": "0.02", "auction_mode": False, "high_bid_limit_percentage": "",
}  # fmt: skip
