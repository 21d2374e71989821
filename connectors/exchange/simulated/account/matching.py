"""The orders of one account against a market that others make. Pure: market and money are behind protocols, time is an argument.

* A market order and the crossing part of a limit order trade with what the market offers, price by price, one fill a trade.
* What is left of a limit order stands in the market; the market says when it is filled.
* A reduce-only order never stands for or fills more than the position; when nothing is left to reduce it expires.
* An order of the account that meets another one of its own does not trade: the resting one expires.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple, Protocol

from connectors.exchange.simulated.account.checks import check_client_order_id, check_filters
from connectors.exchange.simulated.account.ledger import ZERO, FillEffect
from connectors.exchange.simulated.account.orders import (
    Event,
    Execution,
    Fill,
    Order,
    OrderRequest,
    OrderType,
    OrderUpdate,
    Side,
    Status,
    TimeInForce,
)
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.account.store import OrderStore
from connectors.exchange.simulated.market.instruments import Instrument, Product

_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


class TakenQuantity(NamedTuple):
    """One trade of an order that took from the market."""

    trade_id: int
    price: Decimal
    quantity: Decimal


class MarketView(Protocol):
    """The market side that orders meet."""

    def best(self, symbol: str, *, bids: bool) -> tuple[Decimal, Decimal] | None:
        """Return (price, quantity) of the best level, or None where there is none."""

    def levels(self, symbol: str, *, bids: bool) -> Iterable[tuple[Decimal, Decimal]]:
        """Return (price, quantity) of the levels, best first."""

    def take(self, order: Order, quantity: Decimal, ts_us: int) -> TakenQuantity | None:
        """Trade an order once with what the market offers within its price; None where it offers nothing."""

    def stand(self, order: Order, quantity: Decimal) -> None:
        """Have an order stand in the market for a quantity, zero for none; more than before loses its place in the queue."""

    def settled(self, symbol: str, ts_us: int) -> None:
        """Take note that an order has done what it does at once."""

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price."""

    def last(self, symbol: str) -> Decimal:
        """Return the price of the last trade."""


class Accounting(Protocol):
    """The money side of orders."""

    def check(self, rules: Instrument, request: OrderRequest, best: Decimal) -> None:
        """Refuse an order that the account cannot pay for; raises VenueError."""

    def reducible(self, symbol: str, side: Side) -> Decimal:
        """Return what a reduce-only order of a side may still fill."""

    def reserve(self, order: Order, quantity: Decimal) -> None:
        """Set money aside for a quantity of an order that stands, or give it back where the quantity is negative."""

    def fill(self, order: Order, price: Decimal, quantity: Decimal, ts_us: int, *, maker: bool) -> FillEffect:
        """Book a fill."""

    def told(self, symbol: str, ts_us: int) -> Event:
        """Return what the user stream says of the money after a fill."""


class Matching:
    """The orders of one account.

    Parameters
    ----------
    market
        What orders trade against.
    accounting
        Where fills are booked.
    instruments
        By symbol.
    store
        Where orders are kept.
    """

    def __init__(self, market: MarketView, accounting: Accounting, instruments: Mapping[str, Instrument], store: OrderStore) -> None:
        self.store = store
        self._market = market
        self._accounting = accounting
        self._instruments = instruments
        self._events: list[Event] = []

    @property
    def has_news(self) -> bool:
        """Whether :meth:`drain` has something to return."""
        return bool(self._events)

    def drain(self) -> list[Event]:
        """Return what has happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    # --- commands ----------------------------------------------------------------------------------------------------------------------

    def check(self, request: OrderRequest) -> tuple[Instrument, Decimal]:
        """Refuse an order that is not of the form that the venue takes; return its instrument and the best price that it meets.

        Raises
        ------
        VenueError
            It is refused.
        """
        rules = self._instruments.get(request.symbol)
        if rules is None:
            raise refusal(-1121)
        best = self._market.best(request.symbol, bids=request.side is Side.SELL)
        if best is None:
            raise refusal(-1000, message="There is no quote for the symbol.", status=503)
        check_filters(rules, request, best[0])
        if request.client_order_id:
            check_client_order_id(request.client_order_id)
            if rules.product is Product.SPOT:
                if self.store.client_id_is_open(request.client_order_id):  # spot takes an id again once its order is over
                    raise refusal(-2010, message="Duplicate order sent.")
            elif self.store.knows(request.client_order_id):
                raise refusal(-4116)
        return rules, best[0]

    def submit(self, request: OrderRequest, now_us: int) -> Order:
        """Check an order and match it.

        Raises
        ------
        VenueError
            The order is refused; nothing changed.
        """
        rules, best = self.check(request)
        if request.reduce_only and self._accounting.reducible(request.symbol, request.side) <= 0:
            raise refusal(-2022)
        if request.type is OrderType.LIMIT:
            crosses = (best - request.price) * request.side.sign <= 0
            if request.time_in_force is TimeInForce.GTX and crosses:
                raise self._not_a_maker(rules)
            if request.time_in_force is TimeInForce.FOK and rules.product.futures and self._reachable(request) < request.quantity:
                raise refusal(-5021)
        if not request.reduce_only:
            self._accounting.check(rules, request, best)
        order = self.accept(request, now_us)
        self._tell(order, Execution.NEW, None, now_us)
        self.work(order, now_us)
        return order

    def work(self, order: Order, now_us: int) -> None:
        """Trade what can be traded at once; what is left rests or expires."""
        whole = order.time_in_force is not TimeInForce.FOK or self._reachable(order) >= order.quantity
        if whole:
            self._walk(order, now_us)
        if order.is_open:
            if not order.type.limited or order.time_in_force in _AT_ONCE:
                self._end(order, Status.EXPIRED, now_us)
            else:
                self._rest(order)
        self._fit_reducers(order.symbol, now_us)
        self._market.settled(order.symbol, now_us)

    def cancel(self, order: Order, now_us: int) -> None:
        """Cancel an open order.

        Raises
        ------
        VenueError
            It is not open (-2011).
        """
        if not order.is_open:
            raise refusal(-2011)
        self._end(order, Status.CANCELED, now_us)
        self._market.settled(order.symbol, now_us)

    def amend(self, order: Order, quantity: Decimal, price: Decimal, now_us: int) -> None:
        """Change quantity and price of a resting limit order. It keeps its place only where nothing but its quantity falls.

        Raises
        ------
        VenueError
            It is not open, not a limit order, nothing would change, or the new order would be refused; nothing changed.
        """
        if not order.is_open or order.type is not OrderType.LIMIT:
            raise refusal(-2013 if not order.is_open else -1116)
        if (quantity, price) == (order.quantity, order.price):
            raise refusal(-5027)
        request = OrderRequest(order.symbol, order.side, order.type, quantity, price, order.time_in_force, order.reduce_only)
        rules, best = self.check(request)
        if order.time_in_force is TimeInForce.GTX and (best - price) * order.side.sign <= 0:
            raise self._not_a_maker(rules)
        more = quantity * price - order.quantity * order.price
        if not order.reduce_only and more > 0:
            extra = (more / price).quantize(rules.step_size) or rules.step_size
            self._accounting.check(rules, OrderRequest(order.symbol, order.side, order.type, extra, price), price)
        if quantity <= order.filled:  # nothing is left of it
            self.cancel(order, now_us)
            return
        moved = price != order.price
        self._accounting.reserve(order, -order.remaining)
        self.store.closed(order)
        if moved:
            self._market.stand(order, ZERO)
        order.quantity, order.price, order.updated_us = quantity, price, now_us
        self._tell(order, Execution.AMENDMENT, None, now_us)
        if moved:
            self.work(order, now_us)
        else:
            self._rest(order)
            self._market.settled(order.symbol, now_us)

    def close_out(self, symbol: str, quantity: Decimal, now_us: int) -> None:
        """Close a position at market for the venue, after the orders of its symbol have expired."""
        for order in self.store.open_orders(symbol):
            self._end(order, Status.EXPIRED, now_us)
        side = Side.SELL if quantity > 0 else Side.BUY
        order = self.accept(OrderRequest(symbol, side, OrderType.MARKET, abs(quantity), reduce_only=True), now_us, liquidation=True)
        self._tell(order, Execution.NEW, None, now_us)
        self.work(order, now_us)

    def accept(self, request: OrderRequest, now_us: int, *, liquidation: bool = False, working: bool = True) -> Order:
        """Make an order of a request and keep it."""
        number = self.store.next_id()
        order = Order(
            id=number,
            client_order_id=request.client_order_id or (f"autoclose-{number}" if liquidation else f"auto_{number}"),
            symbol=request.symbol,
            side=request.side,
            type=request.type,
            quantity=request.quantity,
            price=request.price,
            time_in_force=request.time_in_force,
            reduce_only=request.reduce_only,
            created_us=now_us,
            updated_us=now_us,
            liquidation=liquidation,
            trigger=request.trigger,
            original=request.original,
            working=working,
        )
        self.store.add(order)
        return order

    # --- the market says ---------------------------------------------------------------------------------------------------------------

    def filled(self, order: Order, price: Decimal, quantity: Decimal, trade_id: int, ts_us: int) -> None:
        """Take note that an order that stands in the market was filled."""
        self._accounting.reserve(order, -quantity)
        self._book(order, trade_id, price, quantity, ts_us, maker=True)
        if not order.is_open:
            self.store.closed(order)
        self._fit_reducers(order.symbol, ts_us)

    def prevented(self, order: Order, ts_us: int) -> None:
        """Take note that an order was taken out of the market, because it met one of the account's own."""
        self._end(order, Status.EXPIRED_IN_MATCH, ts_us)

    def tell(self, event: Event) -> None:
        """Add to what :meth:`drain` returns."""
        self._events.append(event)

    # --- inside ------------------------------------------------------------------------------------------------------------------------

    @staticmethod
    def _not_a_maker(rules: Instrument) -> Exception:
        if rules.product is Product.SPOT:
            return refusal(-2010, message="Order would immediately match and take.")
        return refusal(-5022)

    def _reachable(self, order: OrderRequest | Order) -> Decimal:
        levels = self._market.levels(order.symbol, bids=order.side is Side.SELL)
        return sum((q for p, q in levels if (p - order.price) * order.side.sign <= 0), ZERO)

    def _walk(self, order: Order, now_us: int) -> None:
        while order.is_open and (wanted := self._wanted(order)) > 0:
            taken = self._market.take(order, wanted, now_us)
            if taken is None:
                return
            self._book(order, taken.trade_id, taken.price, taken.quantity, now_us, maker=False)

    def _rest(self, order: Order) -> None:
        self.store.opened(order)
        self._accounting.reserve(order, order.remaining)
        self._market.stand(order, self._wanted(order))

    def _wanted(self, order: Order) -> Decimal:
        """Return what an order may still fill: a reduce-only one no more than the position."""
        if not order.reduce_only:
            return order.remaining
        return min(order.remaining, max(self._accounting.reducible(order.symbol, order.side), ZERO))

    def _fit_reducers(self, symbol: str, ts_us: int) -> None:
        """Have reduce-only orders stand for no more than the position; expire those that have nothing left to reduce."""
        for order in self.store.open_orders(symbol):
            if order.reduce_only and order.working:
                wanted = self._wanted(order)
                if wanted <= 0:
                    self._end(order, Status.EXPIRED, ts_us)
                else:
                    self._market.stand(order, wanted)

    def _book(self, order: Order, trade_id: int, price: Decimal, quantity: Decimal, ts_us: int, *, maker: bool) -> None:
        ts_us = max(ts_us, order.updated_us)  # an event of the market may be some milliseconds older than the order that it fills
        effect = self._accounting.fill(order, price, quantity, ts_us, maker=maker)
        order.filled += quantity
        order.quote += price * quantity
        order.status = Status.PARTIALLY_FILLED if order.remaining else Status.FILLED
        order.updated_us = ts_us
        fill = Fill(trade_id, order.id, order.symbol, order.side, price, quantity, effect.fee, effect.asset, effect.realised, maker, ts_us)
        self.store.fills.append(fill)
        self._events.append(self._accounting.told(order.symbol, ts_us))
        self._tell(order, Execution.CALCULATED if order.liquidation else Execution.TRADE, fill, ts_us)

    def _end(self, order: Order, status: Status, ts_us: int) -> None:
        if self.store.rests(order):
            self._accounting.reserve(order, -order.remaining)
        order.status, order.updated_us = status, ts_us
        self.store.closed(order)
        self._market.stand(order, ZERO)
        execution = Execution.EXPIRED if status is Status.EXPIRED_IN_MATCH else Execution(status.value)
        self._tell(order, execution, None, ts_us)

    def _tell(self, order: Order, execution: Execution, fill: Fill | None, ts_us: int) -> None:
        self._events.append(OrderUpdate(copy.copy(order), execution, fill, ts_us))
