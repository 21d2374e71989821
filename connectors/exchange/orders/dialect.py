"""Binance's words for orders, into the gateway's and back. Pure.

USD-margined perpetuals keep orders that wait for a price apart ("algo orders"), under ids of their own: when its price is reached such an
order makes another one, whose id it then names. To the gateway the two are one order.

Sources: "New Order", "New Algo Order", "Query Order", "Query Algo Order", "Account Trade List", "Get Income History" and "User Data
Streams" of Binance's spot and futures documentation.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

import msgspec

from connectors.exchange.binance.signing import Parameter
from connectors.exchange.orders.events import FillSeen, OrderSeen, TransferSeen
from connectors.exchange.orders.settings import OrdersSettings
from connectors.exchange.venues import Venue
from schemas.common import Liquidity, OrderAction, OrderStatus, OrderType, Origin, Side, TimeInForce, TransferKind
from schemas.execution.records import OrderCommand

MILLISECOND = 1_000
WAITING = "algo-"
"""Before the id of an order that waits: such ids and those of orders that trade are counted apart, so one number may name both."""
PERCENT = 100
BASIS_POINTS = 10_000
NO_SUCH_ORDER = -2013
CANCEL_REFUSED = -2011
DUPLICATE_ID = -4116
NEW_ORDER_REFUSED = -2010
MARGIN_TYPE_IS_SET = -4046

STATUS = {
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


ALGO_STATUS = {
    "NEW": OrderStatus.ACCEPTED,
    "TRIGGERING": OrderStatus.ACCEPTED,
    "TRIGGERED": OrderStatus.ACCEPTED,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.EXPIRED,
}
"""States of an order that waits. One that the venue refuses when its price is reached was accepted before: it expires."""
_FUTURES_TYPES = {
    OrderType.STOP_MARKET: "STOP_MARKET",
    OrderType.STOP_LIMIT: "STOP",
    OrderType.TAKE_PROFIT_MARKET: "TAKE_PROFIT_MARKET",
    OrderType.TAKE_PROFIT_LIMIT: "TAKE_PROFIT",
    OrderType.TRAILING_STOP: "TRAILING_STOP_MARKET",
}
_SPOT_TYPES = {
    OrderType.STOP_MARKET: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
    OrderType.TAKE_PROFIT_MARKET: "TAKE_PROFIT",
    OrderType.TAKE_PROFIT_LIMIT: "TAKE_PROFIT_LIMIT",
    OrderType.TRAILING_STOP: "STOP_LOSS",
}
_INCOME = {
    "FUNDING_FEE": TransferKind.FUNDING,
    "INSURANCE_CLEAR": TransferKind.INSURANCE,
    "TRANSFER": TransferKind.TRANSFER,
    "INTERNAL_TRANSFER": TransferKind.TRANSFER,
    "CROSS_COLLATERAL_TRANSFER": TransferKind.TRANSFER,
    "COIN_SWAP_DEPOSIT": TransferKind.TRANSFER,
    "COIN_SWAP_WITHDRAW": TransferKind.TRANSFER,
    "STRATEGY_UMFUTURES_TRANSFER": TransferKind.TRANSFER,
}
_OF_FILLS = {"REALIZED_PNL", "COMMISSION"}
_VENUES_OWN = ("autoclose-", "adl_autoclose", "settlement_autoclose-")
_LIMITED = {OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT}


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
    side: str = ""
    orig_qty: Decimal = Decimal(0)


class AlgoAnswer(msgspec.Struct, rename="camel"):
    """An order that waits, as REST gives it; `actual_order_id` is empty before its price is reached."""

    client_algo_id: str
    algo_id: int
    algo_status: str
    actual_order_id: str = ""
    create_time: int = 0
    update_time: int = 0


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
    realized_pnl: Decimal | None = None


class IncomeAnswer(msgspec.Struct, rename="camel"):
    """A row of the futures account's history as REST gives it; fills have rows of their own kinds there."""

    income_type: str
    income: Decimal
    asset: str
    time: int
    tran_id: int
    symbol: str = ""


class Request(NamedTuple):
    """A request for a new order: the endpoint, and its parameters."""

    endpoint: str
    parameters: dict[str, Parameter]


def waits(command: OrderCommand) -> bool:
    """Return whether an order waits for a price before it works."""
    return command.order_type in _FUTURES_TYPES


def new_order(command: OrderCommand, venue: Venue) -> Request:
    """Return the request for a new order."""
    if waits(command) and venue.futures:
        return _algo_order(command)
    limit = command.order_type in _LIMITED
    post_only = command.time_in_force is TimeInForce.GTX
    kind = _SPOT_TYPES.get(command.order_type, command.order_type.value)
    parameters: dict[str, Parameter] = {
        "symbol": command.symbol,
        "side": command.side.value,
        "type": "LIMIT_MAKER" if kind == "LIMIT" and post_only and not venue.futures else kind,
        "quantity": command.quantity,
    }
    if limit and command.limit_price is not None:
        parameters["price"] = command.limit_price
        if parameters["type"] != "LIMIT_MAKER":
            parameters["timeInForce"] = command.time_in_force.value
    if command.trigger_price is not None and waits(command):
        parameters["stopPrice"] = command.trigger_price
    if command.callback_rate is not None and command.order_type is OrderType.TRAILING_STOP:
        parameters["trailingDelta"] = int(command.callback_rate * BASIS_POINTS)
    if command.reduce_only and venue.futures:
        parameters["reduceOnly"] = True
    return Request("order", parameters | {"newClientOrderId": command.client_order_id, "newOrderRespType": "RESULT"})


def _algo_order(command: OrderCommand) -> Request:
    parameters: dict[str, Parameter] = {
        "algoType": "CONDITIONAL",
        "symbol": command.symbol,
        "side": command.side.value,
        "type": _FUTURES_TYPES[command.order_type],
        "quantity": command.quantity,
    }
    if command.order_type is OrderType.TRAILING_STOP:
        if command.trigger_price is not None:
            parameters["activatePrice"] = command.trigger_price
        if command.callback_rate is not None:
            parameters["callbackRate"] = (command.callback_rate * PERCENT).normalize()
    elif command.trigger_price is not None:
        parameters["triggerPrice"] = command.trigger_price
    if command.order_type in _LIMITED and command.limit_price is not None:
        parameters |= {"price": command.limit_price, "timeInForce": command.time_in_force.value}
    if command.reduce_only:
        parameters["reduceOnly"] = True
    return Request("algoOrder", parameters | {"clientAlgoId": command.client_order_id})


def leverage_of(command: OrderCommand) -> int:
    """Return the whole leverage that the venue is told: never above the decided one."""
    return max(1, int(Decimal(str(command.leverage)).to_integral_value(ROUND_FLOOR)))


def is_duplicate(code: int, message: str) -> bool:
    """Return whether a refusal of an order says that the venue has an order with this id already."""
    return code == DUPLICATE_ID or (code == NEW_ORDER_REFUSED and "duplicate" in message.lower())


def made_by_venue(client_order_id: str) -> bool:
    """Return whether an order was given by the venue itself: a liquidation, an auto-deleveraging or a settlement."""
    return client_order_id.startswith(_VENUES_OWN)


def venues_command(answer: OrderAnswer, symbol: str, price: Decimal, like: OrdersSettings) -> OrderCommand:
    """Return the command that an order of the venue's own stands for, so that what becomes of it is said as of any other."""
    name, ts = answer.client_order_id, answer.time * MILLISECOND
    return OrderCommand(
        event_id=f"{name}:venue", event_ts=ts, ingest_ts=ts, account=like.account, symbol=symbol, venue=like.venue, client_order_id=name,
        action=OrderAction.SUBMIT, side=Side(answer.side), order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC,
        quantity=answer.orig_qty, reduce_only=True, strategy="venue", intent_id=name, origin=Origin.EXIT, reason="LIQUIDATION",
        leverage=1.0, reference_price=price,
    )  # fmt: skip


def seen(answer: OrderAnswer) -> OrderSeen:
    """Return an order of REST."""
    time_ms = answer.update_time or answer.transact_time or answer.time
    return OrderSeen(
        client_order_id=answer.orig_client_order_id or answer.client_order_id,
        venue_order_id=str(answer.order_id),
        status=STATUS.get(answer.status, OrderStatus.UNKNOWN),
        executed=answer.executed_qty,
        event_ts=time_ms * MILLISECOND,
    )


def algo_seen(answer: AlgoAnswer) -> OrderSeen:
    """Return an order that waits, or that has not made one that trades."""
    return OrderSeen(
        client_order_id=answer.client_algo_id,
        venue_order_id=answer.actual_order_id or f"{WAITING}{answer.algo_id}",
        status=ALGO_STATUS.get(answer.algo_status, OrderStatus.UNKNOWN),
        executed=Decimal(0),
        event_ts=(answer.update_time or answer.create_time) * MILLISECOND,
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
        realised=answer.realized_pnl,
    )


def transfer(answer: IncomeAnswer) -> TransferSeen | None:
    """Return what moved money by a row of the account's history; None where it is part of a fill, which tells it itself."""
    if answer.income_type in _OF_FILLS:
        return None
    return TransferSeen(
        transfer_id=str(answer.tran_id),
        venue_kind=answer.income_type,
        kind=_INCOME.get(answer.income_type, TransferKind.OTHER),
        symbol=answer.symbol,
        asset=answer.asset,
        amount=answer.income,
        event_ts=answer.time * MILLISECOND,
    )
