"""Stop, take-profit and trailing-stop orders: they wait for a price, then become orders that trade. Pure.

The futures keep them apart from orders, with ids of their own (their "algo orders"); on spot an order waits under its own id.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from decimal import Decimal

from connectors.exchange.simulated.account.checks import check_client_order_id
from connectors.exchange.simulated.account.ledger import ZERO
from connectors.exchange.simulated.account.matching import Accounting, MarketView, Matching
from connectors.exchange.simulated.account.orders import (
    AlgoStatus,
    Conditional,
    ConditionalUpdate,
    Event,
    Execution,
    Order,
    OrderRequest,
    OrderType,
    OrderUpdate,
    Side,
    TimeInForce,
    WorkingType,
)
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.market.instruments import Instrument
from quantum.errors import VenueError

MOST_WAITING = 200
KEPT = 20_000
LEAST_CALLBACK, MOST_CALLBACK = Decimal("0.001"), Decimal("0.1")
_STOPS = (OrderType.STOP, OrderType.STOP_MARKET)


class Conditionals:
    """The conditional orders of one account.

    Parameters
    ----------
    matching
        Takes them when they trigger.
    market
        Whose prices trigger them.
    accounting
        Where waiting spot orders have their money locked.
    first_id
        Id of the first one of the futures.
    """

    def __init__(self, matching: Matching, market: MarketView, accounting: Accounting, first_id: int = 1) -> None:
        self._matching = matching
        self._market = market
        self._accounting = accounting
        self._next_id = first_id
        self._all: dict[int, Conditional] = {}
        self._by_client_id: dict[str, int] = {}
        self._waiting: dict[str, list[Conditional]] = {}
        self._fired: list[Conditional] = []
        self._working: dict[int, Conditional] = {}

    # --- commands ----------------------------------------------------------------------------------------------------------------------

    def place(self, request: OrderRequest, now_us: int) -> Conditional:
        """Take a conditional order of the futures.

        Raises
        ------
        VenueError
            It is refused; nothing changed.
        """
        if request.client_order_id:
            check_client_order_id(request.client_order_id)
            if request.client_order_id in self._by_client_id:
                raise refusal(-4116)
        self._check(replace(request, client_order_id=""))
        number = self._next_id
        self._next_id += 1
        conditional = Conditional(number, request.client_order_id or f"algo_{number}", request, now_us, now_us)
        self._all[number] = conditional
        self._by_client_id[conditional.client_id] = number
        if len(self._all) > KEPT:
            oldest = next(iter(self._all.values()))
            if oldest.status is not AlgoStatus.NEW:
                del self._all[oldest.id], self._by_client_id[oldest.client_id]
        self._waiting.setdefault(request.symbol, []).append(conditional)
        self._tell(conditional, AlgoStatus.NEW, now_us)
        return conditional

    def place_on_spot(self, request: OrderRequest, now_us: int) -> Order:
        """Take a conditional order of spot, which is an order from the beginning; raises VenueError where it is refused."""
        rules = self._check(request)
        self._accounting.check(rules, request, request.trigger)
        order = self._matching.accept(request, now_us, working=False)
        self._matching.store.opened(order)
        self._accounting.reserve(order, order.remaining)
        self._waiting.setdefault(request.symbol, []).append(
            Conditional(order.id, order.client_order_id, request, now_us, now_us, order=order)
        )
        self._matching.tell(OrderUpdate(copy.copy(order), Execution.NEW, None, now_us))
        return order

    def cancel(self, conditional: Conditional, now_us: int) -> None:
        """Cancel a waiting order; raises VenueError where it does not wait (-2011)."""
        if conditional.status is not AlgoStatus.NEW:
            raise refusal(-2011)
        self._waiting[conditional.request.symbol].remove(conditional)
        self._tell(conditional, AlgoStatus.CANCELED, now_us)

    def find(self, number: int | None, client_id: str | None) -> Conditional | None:
        """Return a conditional order of the futures by either id."""
        return self._all.get(number if number is not None else self._by_client_id.get(client_id or "", -1))

    def every(self, symbol: str | None = None, *, waiting: bool = False) -> list[Conditional]:
        """Return the conditional orders of the futures, oldest first."""
        return [c for c in self._all.values() if symbol in (None, c.request.symbol) and (not waiting or c.status is AlgoStatus.NEW)]

    def waits(self, symbol: str) -> bool:
        """Return whether an order waits for a price of a symbol."""
        return bool(self._waiting.get(symbol))

    @property
    def fired(self) -> bool:
        """Whether a price has triggered an order that does not work yet."""
        return bool(self._fired)

    # --- prices ------------------------------------------------------------------------------------------------------------------------

    def on_price(self, symbol: str, price: Decimal, working_type: WorkingType) -> None:
        """Note which orders a price triggers; they work with the next :meth:`release`."""
        for conditional in self._waiting.get(symbol, ()):
            if conditional.request.working_type is working_type and conditional not in self._fired and _fires(conditional, price):
                self._fired.append(conditional)

    def release(self, now_us: int) -> None:
        """Let the triggered orders work."""
        while self._fired:
            conditional = self._fired.pop(0)
            waiting = self._waiting[conditional.request.symbol]
            if conditional not in waiting:
                continue
            waiting.remove(conditional)
            if conditional.order is not None:
                self._work_on_spot(conditional.order, now_us)
            else:
                self._work(conditional, now_us)

    def follow(self, events: list[Event]) -> list[Event]:
        """Return events with what they mean for the conditional orders that they come from."""
        if not self._working:
            return events
        found: list[Event] = []
        for event in events:
            found.append(event)
            if isinstance(event, OrderUpdate) and not event.order.is_open and event.order.id in self._working:
                conditional = self._working.pop(event.order.id)
                conditional.status, conditional.updated_us = AlgoStatus.FINISHED, event.ts_us
                found.append(ConditionalUpdate(copy.copy(conditional), event.ts_us))
        return found

    def _work(self, conditional: Conditional, now_us: int) -> None:
        wanted = conditional.request
        quantity = wanted.quantity
        conditional.triggered_us = now_us
        if wanted.close_position:
            quantity = self._accounting.reducible(wanted.symbol, wanted.side)
            if quantity <= 0:
                self._tell(conditional, AlgoStatus.EXPIRED, now_us)
                return
        request = replace(
            wanted,
            type=OrderType.LIMIT if wanted.type.limited else OrderType.MARKET,
            quantity=quantity,
            reduce_only=wanted.reduce_only or wanted.close_position,
            close_position=False,
            client_order_id="",
            time_in_force=wanted.time_in_force if wanted.type.limited else TimeInForce.GTC,
            trigger=ZERO,
            original=wanted.type,
        )
        earlier = self._matching.drain()
        status = AlgoStatus.TRIGGERED
        try:
            conditional.order = self._matching.submit(request, now_us)
            self._working[conditional.order.id] = conditional
        except VenueError:
            status = AlgoStatus.REJECTED
        made = self._matching.drain()
        for event in earlier:
            self._matching.tell(event)
        self._tell(conditional, status, now_us)  # that it has triggered is told before what its order does
        for event in made:
            self._matching.tell(event)

    def _work_on_spot(self, order: Order, now_us: int) -> None:
        if not order.is_open:
            return
        self._matching.store.closed(order)
        self._accounting.reserve(order, -order.remaining)
        order.working, order.updated_us = True, now_us
        self._matching.tell(OrderUpdate(copy.copy(order), Execution.NEW, None, now_us))
        self._matching.work(order, now_us)

    def _check(self, request: OrderRequest) -> Instrument:
        rules, _ = self._matching.check(request)
        if sum(len(waiting) for waiting in self._waiting.values()) >= MOST_WAITING:
            raise refusal(-4045) if rules.product.futures else refusal(-1013, "MAX_NUM_ALGO_ORDERS")
        if request.type is OrderType.TRAILING_STOP_MARKET:
            if not LEAST_CALLBACK <= request.callback <= MOST_CALLBACK:
                raise refusal(-2007)
            return rules
        price = self._market.mark(request.symbol) if request.working_type is WorkingType.MARK_PRICE else self._market.last(request.symbol)
        if _fires(Conditional(0, "", request, 0, 0), price):
            raise refusal(-2021) if rules.product.futures else refusal(-2010, message="Stop price would trigger immediately.")
        return rules

    def _tell(self, conditional: Conditional, status: AlgoStatus, now_us: int) -> None:
        conditional.status, conditional.updated_us = status, now_us
        self._matching.tell(ConditionalUpdate(copy.copy(conditional), now_us))


def _fires(conditional: Conditional, price: Decimal) -> bool:
    """Return whether a price triggers an order; a trailing stop takes note of the price."""
    request = conditional.request
    sign = request.side.sign
    if request.type is not OrderType.TRAILING_STOP_MARKET:
        away = (price - request.trigger) * sign
        return away >= 0 if request.type in _STOPS else away <= 0
    if not conditional.extreme:
        if request.trigger and (price - request.trigger) * sign > 0:
            return False
        conditional.extreme = price
    conditional.extreme = min(conditional.extreme, price) if request.side is Side.BUY else max(conditional.extreme, price)
    return (price - conditional.extreme * (1 + request.callback * sign)) * sign >= 0
