"""Binance's words for orders, into the gateway's and back. Pure.

Sources: "New Order", "Query Order", "Account Trade List" and "User Data Streams" of Binance's spot and futures documentation.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

import msgspec

from connectors.exchange.binance.signing import Parameter
from connectors.exchange.orders.events import FillSeen, OrderSeen
from connectors.exchange.venues import Venue
from schemas.common import Liquidity, OrderStatus, OrderType, TimeInForce
from schemas.execution.records import OrderCommand

MILLISECOND = 1_000
NO_SUCH_ORDER = -2013
CANCEL_REFUSED = -2011
DUPLICATE_ID = -4116
NEW_ORDER_REFUSED = -2010

_STATUS = {
    "NEW": OrderStatus.ACCEPTED,
    "PENDING_NEW": OrderStatus.ACCEPTED,
    "PENDING_CANCEL": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}


class OrderAnswer(msgspec.Struct, rename="camel"):
    """An order as REST gives it; the time is called `updateTime`, `transactTime` or `time`."""

    client_order_id: str
    order_id: int
    status: str
    executed_qty: Decimal
    update_time: int = 0
    transact_time: int = 0
    time: int = 0
    orig_client_order_id: str = ""


class TradeAnswer(msgspec.Struct, rename="camel"):
    """A fill as REST gives it."""

    id: int
    order_id: int
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    maker: bool = False
    is_maker: bool = False


class _Execution(msgspec.Struct):
    """What an order event of the user stream says, by the venue's own one-letter names."""

    s: str
    c: str
    X: str
    x: str
    i: int
    z: Decimal
    l: Decimal  # noqa: E741
    L: Decimal
    T: int
    t: int = -1
    n: Decimal | None = None
    N: str | None = None
    m: bool = False
    C: str = ""


class _Event(msgspec.Struct):
    e: str = ""
    E: int = 0
    o: msgspec.Raw = msgspec.Raw()


class UserEvent(NamedTuple):
    """What one event of the user stream means: news of one of the orders, money that moved, a key that has run out."""

    client_order_id: str = ""
    news: tuple[OrderSeen | FillSeen, ...] = ()
    money: bool = False
    expired: bool = False


def new_order(command: OrderCommand, venue: Venue) -> dict[str, Parameter]:
    """Return the parameters of a new order."""
    limit = command.order_type is OrderType.LIMIT
    post_only = command.time_in_force is TimeInForce.GTX
    parameters: dict[str, Parameter] = {
        "symbol": command.symbol,
        "side": command.side.value,
        "type": "LIMIT_MAKER" if limit and post_only and not venue.futures else command.order_type.value,
        "quantity": command.quantity,
    }
    if limit and command.limit_price is not None:
        parameters["price"] = command.limit_price
        if parameters["type"] == "LIMIT":
            parameters["timeInForce"] = command.time_in_force.value
    if command.reduce_only and venue.futures:
        parameters["reduceOnly"] = True
    return parameters | {"newClientOrderId": command.client_order_id, "newOrderRespType": "RESULT"}


def leverage_of(command: OrderCommand) -> int:
    """Return the whole leverage that the venue is told: never above the decided one."""
    return max(1, int(Decimal(str(command.leverage)).to_integral_value(ROUND_FLOOR)))


def is_duplicate(code: int, message: str) -> bool:
    """Return whether a refusal of an order says that the venue has an order with this id already."""
    return code == DUPLICATE_ID or (code == NEW_ORDER_REFUSED and "duplicate" in message.lower())


def seen(answer: OrderAnswer) -> OrderSeen:
    """Return an order of REST."""
    time_ms = answer.update_time or answer.transact_time or answer.time
    return OrderSeen(
        client_order_id=answer.orig_client_order_id or answer.client_order_id,
        venue_order_id=str(answer.order_id),
        status=_STATUS.get(answer.status, OrderStatus.UNKNOWN),
        executed=answer.executed_qty,
        event_ts=time_ms * MILLISECOND,
    )


def fill(answer: TradeAnswer, client_order_id: str) -> FillSeen:
    """Return a fill of REST."""
    return FillSeen(
        client_order_id=client_order_id,
        venue_order_id=str(answer.order_id),
        trade_id=str(answer.id),
        quantity=answer.qty,
        price=answer.price,
        commission=answer.commission,
        commission_asset=answer.commission_asset,
        liquidity=Liquidity.MAKER if answer.maker or answer.is_maker else Liquidity.TAKER,
        event_ts=answer.time * MILLISECOND,
    )


def user_event(text: str) -> UserEvent:
    """Return what an event of the user stream means; raises msgspec.DecodeError where it is not of the documented form."""
    event = msgspec.json.decode(text, type=_Event)
    if event.e == "ORDER_TRADE_UPDATE":
        return _execution(msgspec.json.decode(event.o, type=_Execution))
    if event.e == "executionReport":
        return _execution(msgspec.json.decode(text, type=_Execution))
    if event.e == "listenKeyExpired":
        return UserEvent(expired=True)
    return UserEvent(money=event.e in {"ACCOUNT_UPDATE", "outboundAccountPosition", "balanceUpdate"})


def _execution(report: _Execution) -> UserEvent:
    # A cancellation on spot has an id of its own in c and the order's in C; elsewhere C is empty or the same.
    client_order_id = report.C if report.C not in ("", "null") else report.c
    event_ts = report.T * MILLISECOND
    news: list[OrderSeen | FillSeen] = []
    if report.x == "TRADE" and report.t >= 0:
        news.append(
            FillSeen(
                client_order_id=client_order_id,
                venue_order_id=str(report.i),
                trade_id=str(report.t),
                quantity=report.l,
                price=report.L,
                commission=report.n or Decimal(0),
                commission_asset=report.N or "",
                liquidity=Liquidity.MAKER if report.m else Liquidity.TAKER,
                event_ts=event_ts,
            )
        )
    news.append(
        OrderSeen(
            client_order_id=client_order_id,
            venue_order_id=str(report.i),
            status=_STATUS.get(report.X, OrderStatus.UNKNOWN),
            executed=report.z,
            event_ts=event_ts,
        )
    )
    return UserEvent(client_order_id, tuple(news), money=report.x == "TRADE")
