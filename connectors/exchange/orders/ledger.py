"""The orders that are on their way: what the venue says of them becomes results, each once. Pure.

An order goes EXPECTED -> ACCEPTED -> fills -> FILLED | CANCELLED | EXPIRED, or EXPECTED -> REJECTED. The venue says the
same thing several times and in any order (the answer to the request, the user stream, a poll, all of it again after a
restart); the ledger lets every fill through once by its trade id and every state once, and holds an end back until the fills
before it have been seen.
"""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from typing import Generic, TypeVar

from msgspec import Struct, field

from connectors.exchange.orders.events import ENDED, FillSeen, OrderSeen, Refused
from quantum.trace import CAUSATION, Headers, caused_headers
from schemas.common import Liquidity, OrderStatus
from schemas.execution.records import AccountTransfer, ExecutionResult, OrderCommand

ZERO = Decimal(0)
MOST_REMEMBERED = 100_000
FACTS = (
    "ingest_ts",
    "account",
    "symbol",
    "venue",
    "client_order_id",
    "side",
    "reduce_only",
    "quantity",
    "strategy",
    "signal_id",
    "intent_id",
    "position_id",
    "origin",
    "reason",
    "leverage",
    "stop_price",
    "risk_amount",
    "reference_price",
)


SaidT = TypeVar("SaidT", ExecutionResult, AccountTransfer)


class Result(Struct, Generic[SaidT], frozen=True):
    """What is said: a result of an order or a transfer, the headers that tie it to its cause, and the partition that it belongs to."""

    record: SaidT
    headers: Headers
    partition: int


Said = Result[ExecutionResult] | Result[AccountTransfer]


class Order(Struct):
    """An order that is not over.

    Attributes
    ----------
    facts
        What every result repeats of the command.
    cause_id, cause_headers
        Id and headers of the command.
    partition
        Partition that the command came from.
    accepted
        Whether ACCEPTED has been said.
    executed
        Quantity that the venue says is filled.
    filled, notional
        Quantity and money of the fills that have been seen.
    venue_order_id, venue_order_ids
        The venue's newest id of it, and all: an order that waits for a price gets another one when it begins to work.
    ending
        How the venue says that it ended, before its fills were all seen.
    """

    facts: dict[str, object]
    client_order_id: str
    symbol: str
    quantity: Decimal
    cause_id: str
    cause_headers: Headers
    partition: int
    venue_order_id: str | None = None
    venue_order_ids: set[str] = field(default_factory=set)
    accepted: bool = False
    executed: Decimal = ZERO
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    trades: set[str] = field(default_factory=set)
    ending: OrderSeen | None = None


class Ledger:
    """The open orders of one account at one venue, by client order id."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._by_venue_id: dict[tuple[str, str], str] = {}
        self._over: OrderedDict[str, int] = OrderedDict()
        self._fills: OrderedDict[tuple[str, str], None] = OrderedDict()

    def knows(self, client_order_id: str) -> bool:
        """Return whether the venue is known to have answered for an order, now or earlier."""
        order = self._orders.get(client_order_id)
        return client_order_id in self._over or (order is not None and order.accepted)

    def order(self, client_order_id: str) -> Order | None:
        """Return an order that is not over."""
        return self._orders.get(client_order_id)

    def open_orders(self) -> list[Order]:
        """Return the orders that the venue has accepted and that are not over."""
        return [order for order in self._orders.values() if order.accepted]

    def has_said(self, symbol: str, trade_id: str) -> bool:
        """Return whether a fill of one of our orders has been said, as far as fills are remembered."""
        return (symbol, trade_id) in self._fills

    def symbols(self) -> set[str]:
        """Return the symbols of the fills that are remembered and of the orders that are not over."""
        return {symbol for symbol, _ in self._fills} | {order.symbol for order in self._orders.values()}

    def expect(self, command: OrderCommand, headers: Headers, partition: int) -> None:
        """Take note of an order that is about to be sent."""
        if command.client_order_id not in self._orders:
            self._orders[command.client_order_id] = _order(command, command.event_id, headers, partition)

    def restore(self, result: ExecutionResult, headers: Headers, partition: int) -> None:
        """Take a result that an earlier process has said; they come in the order in which they were said."""
        if result.client_order_id in self._over:
            return
        order = self._orders.get(result.client_order_id)
        if order is None:
            cause = headers.get(CAUSATION, b"").decode()
            order = self._orders[result.client_order_id] = _order(result, cause, headers, partition)
        order.accepted = True
        self._name(order, result.venue_order_id)
        if result.trade_id is not None and result.fill_quantity is not None and result.fill_price is not None:
            self._add(order, result.trade_id, result.fill_quantity, result.fill_price)
        if result.status in ENDED or result.status is OrderStatus.FILLED:
            self._close(order)

    def drop(self, partition: int) -> None:
        """Forget the orders of a partition: another process answers for them now."""
        for order in [order for order in self._orders.values() if order.partition == partition]:
            self._orders.pop(order.client_order_id)
            self._unname(order)
        for client_order_id in [name for name, owner in self._over.items() if owner == partition]:
            del self._over[client_order_id]

    def seen(self, event: OrderSeen | FillSeen | Refused, client_order_id: str) -> list[Result[ExecutionResult]]:
        """Take what the venue says of an order; return what is new in it.

        Parameters
        ----------
        event
            A state, a fill or a refusal.
        client_order_id
            The order's id; of orders that are not ours nothing is said.
        """
        order = self._orders.get(client_order_id)
        if order is None:
            return []
        if isinstance(event, Refused):
            return self._refused(order, event)
        self._name(order, event.venue_order_id)
        results = (
            []
            if order.accepted or (isinstance(event, OrderSeen) and event.status is OrderStatus.REJECTED)
            else self._accepted(order, event)
        )
        if isinstance(event, FillSeen):
            results += self._filled(order, event)
        else:
            order.executed = max(order.executed, event.executed)
            if event.status in ENDED:
                order.ending = event
        return results + self._ended(order)

    def client_id_of(self, symbol: str, venue_order_id: str) -> str:
        """Return the client order id of one of our orders; empty where it is not ours."""
        return self._by_venue_id.get((symbol, venue_order_id), "")

    def _accepted(self, order: Order, event: OrderSeen | FillSeen) -> list[Result[ExecutionResult]]:
        order.accepted = True
        return [_result(order, OrderStatus.ACCEPTED, event.event_ts)]

    def _filled(self, order: Order, fill: FillSeen) -> list[Result[ExecutionResult]]:
        if fill.trade_id in order.trades:
            return []
        self._add(order, fill.trade_id, fill.quantity, fill.price)
        full = order.filled >= order.quantity
        result = _result(order, OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED, fill.event_ts, fill=fill)
        if full:
            self._close(order)
        return [result]

    def _ended(self, order: Order) -> list[Result[ExecutionResult]]:
        ending = order.ending
        if ending is None or order.filled < order.executed or order.client_order_id not in self._orders:
            return []
        self._close(order)
        return [_result(order, ending.status, ending.event_ts)]

    def _refused(self, order: Order, refusal: Refused) -> list[Result[ExecutionResult]]:
        if order.accepted:
            return []
        self._close(order)
        return [_result(order, OrderStatus.REJECTED, refusal.event_ts, refusal=refusal)]

    def _add(self, order: Order, trade_id: str, quantity: Decimal, price: Decimal) -> None:
        if trade_id in order.trades:
            return
        order.trades.add(trade_id)
        order.filled += quantity
        order.notional += quantity * price
        order.executed = max(order.executed, order.filled)
        self._fills[order.symbol, trade_id] = None
        while len(self._fills) > MOST_REMEMBERED:
            self._fills.popitem(last=False)

    def _name(self, order: Order, venue_order_id: str | None) -> None:
        if venue_order_id and venue_order_id not in order.venue_order_ids:
            order.venue_order_id = venue_order_id
            order.venue_order_ids.add(venue_order_id)
            self._by_venue_id[order.symbol, venue_order_id] = order.client_order_id

    def _unname(self, order: Order) -> None:
        for venue_order_id in order.venue_order_ids:
            self._by_venue_id.pop((order.symbol, venue_order_id), None)

    def _close(self, order: Order) -> None:
        self._orders.pop(order.client_order_id, None)
        self._unname(order)
        self._over[order.client_order_id] = order.partition
        while len(self._over) > MOST_REMEMBERED:
            self._over.popitem(last=False)


def _order(source: OrderCommand | ExecutionResult, cause_id: str, headers: Headers, partition: int) -> Order:
    return Order(
        facts={name: getattr(source, name) for name in FACTS},
        client_order_id=source.client_order_id,
        symbol=source.symbol,
        quantity=source.quantity,
        cause_id=cause_id,
        cause_headers=headers,
        partition=partition,
    )


def _result(
    order: Order, status: OrderStatus, event_ts: int, *, fill: FillSeen | None = None, refusal: Refused | None = None
) -> Result[ExecutionResult]:
    event_id = f"{order.client_order_id}:{status.value if fill is None else fill.trade_id}"
    what: dict[str, object] = {"liquidity": Liquidity.NONE}
    if fill is not None:
        what = {
            "trade_id": fill.trade_id,
            "fill_quantity": fill.quantity,
            "fill_price": fill.price,
            "commission": fill.commission,
            "commission_asset": fill.commission_asset,
            "liquidity": fill.liquidity,
            "realised_pnl": fill.realised,
        }
    if refusal is not None:
        what |= {"error_code": refusal.code, "error_message": refusal.message}
    record = ExecutionResult(
        **order.facts,  # type: ignore[arg-type]  # the facts are this record's own fields, by name
        **what,  # type: ignore[arg-type]  # likewise
        event_id=event_id,
        event_ts=event_ts,
        venue_order_id=order.venue_order_id,
        status=status,
        filled_quantity=order.filled,
        average_price=_average(order),
    )
    return Result(record, caused_headers(event_id, order.cause_id, order.cause_headers), order.partition)


def _average(order: Order) -> Decimal | None:
    return order.notional / order.filled if order.filled else None
