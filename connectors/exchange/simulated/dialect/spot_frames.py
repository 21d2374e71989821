"""User-stream events and REST rows of spot orders and accounts, as the venue writes them."""

from __future__ import annotations

from decimal import Decimal

from connectors.exchange.simulated.account.orders import (
    BalanceUpdate,
    Event,
    Execution,
    Fill,
    Order,
    OrderType,
    OrderUpdate,
    Side,
    Status,
    TimeInForce,
)
from connectors.exchange.simulated.account.spot import SpotAccounting
from connectors.exchange.simulated.dialect.frames import Json, eight

TYPES = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "LIMIT_MAKER": OrderType.LIMIT,
    "STOP_LOSS": OrderType.STOP_MARKET,
    "STOP_LOSS_LIMIT": OrderType.STOP,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_MARKET,
    "TAKE_PROFIT_LIMIT": OrderType.TAKE_PROFIT,
}
"""Spot's names of the types; those that wait are called otherwise than on the futures."""
_NAMES = {kind: name for name, kind in TYPES.items() if name != "LIMIT_MAKER"}
_PREVENTION = "EXPIRE_MAKER"


def type_name(order: Order) -> str:
    """Return what spot calls the type of an order."""
    return "LIMIT_MAKER" if order.type is OrderType.LIMIT and order.time_in_force is TimeInForce.GTX else _NAMES[order.type]


def user_event(event: Event, event_ms: int) -> Json:
    """Return the user-stream event of something that happened."""
    match event:
        case OrderUpdate():
            return execution_report(event, event_ms)
        case BalanceUpdate():
            return account_position(event, event_ms)
        case _:
            raise TypeError(f"{type(event).__name__} is no event of a spot account")


def execution_report(event: OrderUpdate, event_ms: int) -> Json:
    """Return `executionReport`; a cancellation has an id of its own in ``c`` and the order's in ``C``."""
    order, fill = event.order, event.fill
    cancelled = event.execution is Execution.CANCELED
    expired = order.status is Status.EXPIRED_IN_MATCH
    return {
        "e": "executionReport",
        "E": event_ms,
        "s": order.symbol,
        "c": f"cancel_{order.id}" if cancelled else order.client_order_id,
        "S": order.side.value,
        "o": type_name(order),
        "f": _in_force(order),
        "q": eight(order.quantity),
        "p": eight(order.price),
        "P": eight(order.trigger),
        "F": eight(Decimal(0)),
        "g": -1,
        "C": order.client_order_id if cancelled else "",
        "x": "TRADE_PREVENTION" if expired else event.execution.value,
        "X": order.status.value,
        "r": "NONE",
        "i": order.id,
        "l": eight(fill.quantity if fill else Decimal(0)),
        "z": eight(order.filled),
        "L": eight(fill.price if fill else Decimal(0)),
        "n": eight(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": event.ts_us // 1000,
        "t": fill.trade_id if fill else -1,
        "w": order.is_open and order.working,
        "m": fill.maker if fill else False,
        "M": fill is not None,
        "O": order.created_us // 1000,
        "Z": eight(order.quote),
        "Y": eight(fill.price * fill.quantity if fill else Decimal(0)),
        "Q": eight(Decimal(0)),
        "W": order.created_us // 1000,
        "V": _PREVENTION,
    }


def account_position(event: BalanceUpdate, event_ms: int) -> Json:
    """Return `outboundAccountPosition`."""
    rows = [{"a": asset, "f": eight(free), "l": eight(locked)} for asset, free, locked in event.balances]
    return {"e": "outboundAccountPosition", "E": event_ms, "u": event.ts_us // 1000, "B": rows}


def ack_row(order: Order) -> Json:
    """Return the shortest answer to a new order."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": order.updated_us // 1000,
    }


def result_row(order: Order, fills: list[Fill] | None = None) -> Json:
    """Return the answer to a new order with its state, and with its fills where they are given."""
    row = {**ack_row(order), **_state(order), "workingTime": order.created_us // 1000}
    if fills is not None:
        row["fills"] = [
            {
                "price": eight(f.price),
                "qty": eight(f.quantity),
                "commission": eight(f.fee),
                "commissionAsset": f.fee_asset,
                "tradeId": f.trade_id,
            }
            for f in fills
        ]
    return row


def cancel_row(order: Order) -> Json:
    """Return the answer to a cancellation."""
    return {**ack_row(order), "origClientOrderId": order.client_order_id, "clientOrderId": f"cancel_{order.id}", **_state(order)}


def order_row(order: Order) -> Json:
    """Return an order as a query answers it."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        **_state(order),
        "stopPrice": eight(order.trigger),
        "icebergQty": eight(Decimal(0)),
        "time": order.created_us // 1000,
        "updateTime": order.updated_us // 1000,
        "isWorking": order.working,
        "workingTime": order.created_us // 1000 if order.working else -1,
        "origQuoteOrderQty": eight(Decimal(0)),
    }


def fill_row(fill: Fill) -> Json:
    """Return a row of `myTrades`."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": -1,
        "price": eight(fill.price),
        "qty": eight(fill.quantity),
        "quoteQty": eight(fill.price * fill.quantity),
        "commission": eight(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.ts_us // 1000,
        "isBuyer": fill.side is Side.BUY,
        "isMaker": fill.maker,
        "isBestMatch": True,
    }


def account_row(accounting: SpotAccounting, time_ms: int) -> Json:
    """Return the account."""
    maker, taker = accounting.rates.maker, accounting.rates.taker
    return {
        "makerCommission": int(maker * 10_000),
        "takerCommission": int(taker * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": eight(maker), "taker": eight(taker), "buyer": eight(Decimal(0)), "seller": eight(Decimal(0))},
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "updateTime": time_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": eight(balance.free), "locked": eight(balance.locked)} for asset, balance in accounting.balances.items()
        ],
        "permissions": ["SPOT"],
    }


def _state(order: Order) -> Json:
    return {
        "price": eight(order.price),
        "origQty": eight(order.quantity),
        "executedQty": eight(order.filled),
        "cummulativeQuoteQty": eight(order.quote),
        "status": order.status.value,
        "timeInForce": _in_force(order),
        "type": type_name(order),
        "side": order.side.value,
        "selfTradePreventionMode": _PREVENTION,
    }


def _in_force(order: Order) -> str:
    return "GTC" if order.time_in_force is TimeInForce.GTX else order.time_in_force.value
