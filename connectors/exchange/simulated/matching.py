"""Matching of one account's orders against a market that others make. Pure: the market is behind a protocol, time is an argument.

* A market order and the crossing part of a limit order walk the book, level by level, one fill a level.
* A resting order joins the queue of its price behind what is displayed there. Trades at its price against its side work the queue off and
  then fill it; a trade or an opposite quote through its price fills it as maker at its price.
* A reduce-only order never fills beyond the position; what is left of it expires.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Protocol

from connectors.exchange.simulated.instruments import Instrument
from connectors.exchange.simulated.ledger import ZERO, Ledger, OpenNotional, Position
from connectors.exchange.simulated.orders import (
    AccountUpdate,
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
    check_client_order_id,
    check_filters,
)
from connectors.exchange.simulated.refusal import refusal

KEPT_ORDERS = 200_000


class MarketView(Protocol):
    """The market side that orders meet."""

    def best(self, symbol: str, *, bids: bool) -> tuple[Decimal, Decimal] | None:
        """Return (price, quantity) of the best level, or None before the first quote."""

    def levels(self, symbol: str, *, bids: bool) -> Iterable[tuple[Decimal, Decimal]]:
        """Return (price, quantity) of the levels, best first."""

    def displayed(self, symbol: str, price: Decimal, *, bids: bool) -> Decimal:
        """Return the quantity that stands at a price."""

    def take(self, symbol: str, price: Decimal, quantity: Decimal, *, bids: bool, ts_us: int) -> int:
        """Take a quantity from one level; return the id of the trade."""

    def print_fill(self, symbol: str, price: Decimal, quantity: Decimal, *, buyer_maker: bool, ts_us: int) -> int:
        """Print the trade of a resting order's fill; return its id."""

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price."""


class Matching:
    """The orders of one account.

    Parameters
    ----------
    market
        What orders trade against.
    ledger
        Where fills are booked.
    instruments
        By symbol.
    first_order_id
        Id of the first order.
    """

    def __init__(self, market: MarketView, ledger: Ledger, instruments: Mapping[str, Instrument], first_order_id: int = 1) -> None:
        self.ledger = ledger
        self._market = market
        self._instruments = instruments
        self._next_id = first_order_id
        self._orders: dict[int, Order] = {}
        self._by_client_id: dict[str, int] = {}
        self._open: dict[str, dict[int, Order]] = {}
        self.fills: deque[Fill] = deque(maxlen=KEPT_ORDERS)
        self._taking = False

    # --- queries -----------------------------------------------------------------------------------------------------------------------

    def orders(self, symbol: str) -> list[Order]:
        """Return every kept order of a symbol, oldest first."""
        return [o for o in self._orders.values() if o.symbol == symbol]

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the open orders, oldest first."""
        symbols = self._open if symbol is None else (symbol,)
        return [o for s in symbols for o in self._open.get(s, {}).values()]

    def find(self, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
        """Return an order by either id."""
        if order_id is None:
            order_id = self._by_client_id.get(client_order_id or "")
        order = self._orders.get(order_id) if order_id is not None else None
        return order if order is not None and order.symbol == symbol else None

    def open_notional(self) -> dict[str, OpenNotional]:
        """Return the notional of open orders that are not reduce-only, by symbol."""
        return {symbol: self._notional(orders.values()) for symbol, orders in self._open.items() if orders}

    def available(self) -> Decimal:
        """Return the balance that new orders may use."""
        return self.ledger.available(self._market.mark, self.open_notional())

    # --- commands ----------------------------------------------------------------------------------------------------------------------

    def submit(self, request: OrderRequest, now_us: int) -> tuple[Order, list[Event]]:
        """Check an order and match it.

        Returns
        -------
        tuple[Order, list[Event]]
            The order, and what happened in order.

        Raises
        ------
        VenueError
            The order is refused; nothing changed.
        """
        rules = self._instruments.get(request.symbol)
        if rules is None:
            raise refusal(-1121)
        best = self._market.best(request.symbol, bids=request.side is Side.SELL)
        if best is None:
            raise refusal(-1000, message="There is no quote for the symbol yet.", status=503)
        check_filters(rules, request, best[0])
        if request.client_order_id:
            check_client_order_id(request.client_order_id)
            if request.client_order_id in self._by_client_id:
                raise refusal(-4116)
        if request.reduce_only and self.ledger.position(request.symbol).quantity * request.side.sign >= 0:
            raise refusal(-2022)
        crosses = request.type is OrderType.MARKET or (best[0] - request.price) * request.side.sign <= 0
        if request.type is OrderType.LIMIT:
            if request.time_in_force is TimeInForce.GTX and crosses:
                raise refusal(-5022)
            if request.time_in_force is TimeInForce.FOK and self._reachable(request) < request.quantity:
                raise refusal(-5021)
        if not request.reduce_only:
            self._check_margin(rules, request, best[0])
        order = self._accept(request, now_us)
        events: list[Event] = [self._told(order, Execution.NEW, None, now_us)]
        if crosses:
            events += self._walk(order, now_us)
        if order.is_open:
            if order.type is OrderType.MARKET or order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
                events.append(self._end(order, Status.EXPIRED, now_us))
            else:
                order.ahead = self._market.displayed(order.symbol, order.price, bids=order.side is Side.BUY)
                self._open.setdefault(order.symbol, {})[order.id] = order
        return order, events + self._expire_idle_reducers(order.symbol, now_us)

    def cancel(self, order: Order, now_us: int) -> list[Event]:
        """Cancel an open order.

        Raises
        ------
        VenueError
            It is not open (-2011).
        """
        if not order.is_open:
            raise refusal(-2011)
        return [self._end(order, Status.CANCELED, now_us)]

    # --- the market moves --------------------------------------------------------------------------------------------------------------

    def on_trade(self, symbol: str, price: Decimal, quantity: Decimal, aggressor: Side, ts_us: int) -> list[Event]:
        """Work off queues and fill resting orders by a public trade."""
        events: list[Event] = []
        if self._taking:  # the trade is the account's own
            return events
        left = quantity
        for order in self._resting(symbol):
            if order.side is aggressor or (order.price - price) * order.side.sign < 0 or left <= 0:
                continue
            if order.price == price:
                worked = min(order.ahead, left)
                order.ahead -= worked
                filled = min(order.remaining, left - worked)
            else:  # traded through: everything before it at its price is gone
                order.ahead = ZERO
                filled = min(order.remaining, left)
            if filled > 0:
                left -= filled
                events += self._fill_resting(order, filled, ts_us)
        return events + (self._expire_idle_reducers(symbol, ts_us) if events else [])

    def on_quote(self, symbol: str, ts_us: int) -> list[Event]:
        """Fill resting orders that the opposite best price has reached."""
        events: list[Event] = []
        if self._taking or not self._open.get(symbol):
            return events
        for bids in (True, False):
            best = self._market.best(symbol, bids=bids)
            if best is None:
                continue
            price, left = best
            for order in self._resting(symbol):
                if (order.side is Side.SELL) is bids and (order.price - price) * order.side.sign >= 0 and left > 0:
                    filled = min(order.remaining, left)
                    left -= filled
                    events += self._fill_resting(order, filled, ts_us)
        return events + (self._expire_idle_reducers(symbol, ts_us) if events else [])

    def settle_funding(self, symbol: str, rate: Decimal, ts_us: int) -> list[Event]:
        """Pay or receive funding for a position."""
        amount = self.ledger.settle_funding(symbol, rate, self._market.mark(symbol), ts_us)
        return [self._account("FUNDING_FEE", (), ts_us, amount)] if amount else []

    def liquidate(self, ts_us: int) -> list[Event]:
        """Close at market what maintenance margin no longer covers, cancelling its orders first."""
        events: list[Event] = []
        for position in self.ledger.to_liquidate(self._market.mark):
            events += [self._end(order, Status.EXPIRED, ts_us) for order in list(self._open.get(position.symbol, {}).values())]
            side = Side.SELL if position.quantity > 0 else Side.BUY
            request = OrderRequest(position.symbol, side, OrderType.MARKET, abs(position.quantity), reduce_only=True)
            order = self._accept(request, ts_us, liquidation=True)
            events.append(self._told(order, Execution.NEW, None, ts_us))
            events += self._walk(order, ts_us)
            if order.is_open:  # the book was too thin; the next call goes on
                events.append(self._end(order, Status.EXPIRED, ts_us))
        if events and not self.ledger.held() and (amount := self.ledger.insure(ts_us)):
            events.append(self._account("INSURANCE_CLEAR", (), ts_us, amount))
        return events

    # --- inside ------------------------------------------------------------------------------------------------------------------------

    def _check_margin(self, rules: Instrument, request: OrderRequest, best: Decimal) -> None:
        ledger, mark = self.ledger, self._market.mark(request.symbol)
        position = ledger.position(request.symbol)
        price = best if request.type is OrderType.MARKET else request.price
        notional = request.quantity * price
        orders = self.open_notional().get(request.symbol, OpenNotional())
        buying = request.side is Side.BUY
        after = OpenNotional(orders.buys + notional * buying, orders.sells + notional * (not buying))
        worst = max(abs(position.quantity * mark + after.buys), abs(position.quantity * mark - after.sells))
        if rules.bracket(worst).max_leverage < position.leverage and worst > abs(position.quantity * mark):
            raise refusal(-2027)
        more = ledger.initial_margin(request.symbol, mark, after) - ledger.initial_margin(request.symbol, mark, orders)
        if more > 0 and more + notional * ledger.rates.taker > self.available():
            raise refusal(-2019)

    def _reachable(self, request: OrderRequest) -> Decimal:
        levels = self._market.levels(request.symbol, bids=request.side is Side.SELL)
        return sum((q for p, q in levels if (p - request.price) * request.side.sign <= 0), ZERO)

    def _accept(self, request: OrderRequest, now_us: int, *, liquidation: bool = False) -> Order:
        number = self._next_id
        self._next_id += 1
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
        )
        self._orders[number] = order
        self._by_client_id[order.client_order_id] = number
        if len(self._orders) > KEPT_ORDERS:
            self._forget()
        return order

    def _forget(self) -> None:
        """Drop the oldest tenth of the orders that are done."""
        done = [o for o in self._orders.values() if not o.is_open]
        for order in done[: KEPT_ORDERS // 10]:
            del self._orders[order.id], self._by_client_id[order.client_order_id]

    def _walk(self, order: Order, now_us: int) -> list[Event]:
        """Match an order against the book, level by level."""
        events: list[Event] = []
        bids = order.side is Side.SELL
        for price, quantity in list(self._market.levels(order.symbol, bids=bids)):
            beyond = order.type is OrderType.LIMIT and (price - order.price) * order.side.sign > 0
            wanted = self._wanted(order)
            if beyond or wanted <= 0:
                break
            filled = min(wanted, quantity)
            self._taking = True
            try:
                trade_id = self._market.take(order.symbol, price, filled, bids=bids, ts_us=now_us)
            finally:
                self._taking = False
            events += self._book(order, trade_id, price, filled, now_us, maker=False)
        return events

    def _wanted(self, order: Order) -> Decimal:
        """Return what an order may still fill: a reduce-only one no more than the position."""
        if not order.reduce_only:
            return order.remaining
        return min(order.remaining, max(-self.ledger.position(order.symbol).quantity * order.side.sign, ZERO))

    def _fill_resting(self, order: Order, quantity: Decimal, ts_us: int) -> list[Event]:
        quantity = min(quantity, self._wanted(order))
        if quantity <= 0:
            return []
        buyer = order.side is Side.BUY
        self._taking = True
        try:
            trade_id = self._market.print_fill(order.symbol, order.price, quantity, buyer_maker=buyer, ts_us=ts_us)
        finally:
            self._taking = False
        events = self._book(order, trade_id, order.price, quantity, ts_us, maker=True)
        if not order.is_open:
            self._open[order.symbol].pop(order.id, None)
        return events

    def _book(self, order: Order, trade_id: int, price: Decimal, quantity: Decimal, ts_us: int, *, maker: bool) -> list[Event]:
        ts_us = max(ts_us, order.updated_us)  # an event of the market may be some milliseconds older than the order that it fills
        rates = self.ledger.rates
        rate = rates.liquidation if order.liquidation else rates.maker if maker else rates.taker
        effect = self.ledger.fill(order.symbol, quantity * order.side.sign, price, rate, ts_us)
        order.filled += quantity
        order.quote += price * quantity
        order.status = Status.PARTIALLY_FILLED if order.remaining else Status.FILLED
        order.updated_us = ts_us
        fill = Fill(trade_id, order.id, order.symbol, order.side, price, quantity, effect.fee, effect.realised, maker, ts_us)
        self.fills.append(fill)
        execution = Execution.CALCULATED if order.liquidation else Execution.TRADE
        return [self._account("ORDER", (order.symbol,), ts_us, ZERO), self._told(order, execution, fill, ts_us)]

    def _expire_idle_reducers(self, symbol: str, ts_us: int) -> list[Event]:
        """Expire reduce-only orders that have nothing left to reduce."""
        idle = [o for o in self._resting(symbol) if o.reduce_only and self._wanted(o) <= 0]
        return [self._end(order, Status.EXPIRED, ts_us) for order in idle]

    def _end(self, order: Order, status: Status, ts_us: int) -> OrderUpdate:
        order.status, order.updated_us = status, ts_us
        self._open.get(order.symbol, {}).pop(order.id, None)
        return self._told(order, Execution(status.value), None, ts_us)

    def _resting(self, symbol: str) -> list[Order]:
        """Return the resting orders, those at the better price and then the older first."""
        orders = self._open.get(symbol)
        return sorted(orders.values(), key=lambda o: (-o.price * o.side.sign, o.id)) if orders else []

    @staticmethod
    def _notional(orders: Iterable[Order]) -> OpenNotional:
        sums = {Side.BUY: ZERO, Side.SELL: ZERO}
        for order in orders:
            if not order.reduce_only:
                sums[order.side] += order.remaining * order.price
        return OpenNotional(sums[Side.BUY], sums[Side.SELL])

    @staticmethod
    def _told(order: Order, execution: Execution, fill: Fill | None, ts_us: int) -> OrderUpdate:
        return OrderUpdate(copy.copy(order), execution, fill, ts_us)

    def _account(self, reason: str, symbols: tuple[str, ...], ts_us: int, change: Decimal) -> AccountUpdate:
        positions: tuple[Position, ...] = tuple(copy.copy(self.ledger.position(s)) for s in symbols)
        return AccountUpdate(reason, self.ledger.wallet, self.ledger.cross_wallet, change, positions, ts_us)
