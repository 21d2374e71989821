"""Who makes the market of one symbol: makers who keep its book, takers who trade against it.

What they want is drawn in blocks by :mod:`connectors.exchange.simulated.market.flow`; here it becomes orders, by the same rules of
price and time priority that an account's orders are under.

* The *touch maker* stands at the best prices. At a price that stays it keeps its place in the queue and changes only its size; it withdraws
  what the market has left behind, and takes what others offer beyond its price.
* The *ladder maker* fills the book behind the touch, one order every `grid` ticks.
* *Noise takers* buy and sell alike; *momentum takers* trade with the hidden momentum of the price.
"""

from __future__ import annotations

import random
from typing import Protocol

from connectors.exchange.simulated.market.book import OrderBook, Owner, Resting

NEAR_LEVELS = 3
"""Levels next to the touch that the ladder maker fills again at once when a taker has emptied them."""
JITTER_LEVELS = 12
MOST_INVENTORY = 40
"""Inventory, in typical sizes of a level, at which a maker shows a fifth of its size on the side that would add to it."""


class Agent:
    """An owner of orders that takes no note of its fills: what it holds, the market knows."""

    def __init__(self, name: str) -> None:
        self.name = name

    def filled(self, resting: Resting, price: int, lots: int, trade_id: int, ts_us: int) -> None:
        """Ignore it."""

    def prevented(self, resting: Resting, ts_us: int) -> None:
        """Ignore it."""


class Market(Protocol):
    """What an agent sees of its market."""

    book: OrderBook

    def sweep(self, owner: Owner, lots: int, limit: int | None, *, bid: bool, ts_us: int) -> int:
        """Trade against the book up to a limit; return what was traded."""

    def holding(self, owner: Owner) -> int:
        """Return an owner's position, lots."""


class TouchMaker(Agent):
    """Keeps the best bid and ask.

    Parameters
    ----------
    typical_lots
        Median size of a level.
    """

    def __init__(self, typical_lots: float) -> None:
        super().__init__("touch maker")
        self._typical = typical_lots
        self._orders: dict[bool, list[Resting]] = {True: [], False: []}

    def withdraw(self, market: Market, bid: int, ask: int) -> None:
        """Cancel what is not at the prices that it will quote."""
        for is_bid, price in ((True, bid), (False, ask)):
            kept = []
            for order in self._orders[is_bid]:
                if order.price != price:
                    market.book.cancel(order)
                elif order.lots:
                    kept.append(order)
            self._orders[is_bid] = kept

    def quote(self, market: Market, bid: int, ask: int, bid_lots: int, ask_lots: int, ts_us: int) -> None:
        """Take what others offer beyond its prices, then show its sizes; never at a price that would trade."""
        held = market.holding(self)
        for is_bid, price, lots in ((True, bid, bid_lots), (False, ask, ask_lots)):
            excess = (held if is_bid else -held) / (MOST_INVENTORY * self._typical)
            lots = max(1, round(lots * min(1.0, max(0.2, 1.0 - excess))))
            if market.book.crosses(price, bid=is_bid):
                market.sweep(self, lots, price, bid=is_bid, ts_us=ts_us)
                if market.book.crosses(price, bid=is_bid):  # more than it wants to take: it steps in front
                    price = market.book.ask - 1 if is_bid else market.book.bid + 1
            self._show(market, price, lots, is_bid=is_bid)

    def _show(self, market: Market, price: int, lots: int, *, is_bid: bool) -> None:
        orders = [order for order in self._orders[is_bid] if order.lots and order.price == price]
        more = lots - sum(order.lots for order in orders)
        while more < 0 and orders:
            taken = min(-more, orders[-1].lots)
            market.book.reduce(orders[-1], taken)
            more += taken
            if not orders[-1].lots:
                orders.pop()
        if more > 0 and price > 0:
            orders.append(market.book.add(self, price, more, bid=is_bid))
        self._orders[is_bid] = orders


class LadderMaker(Agent):
    """Keeps the book behind the touch.

    Parameters
    ----------
    grid
        Ticks between two of its orders.
    levels
        Orders on each side.
    typical_lots
        Median size of an order.
    rng
        Source of the sizes.
    """

    def __init__(self, *, grid: int, levels: int, typical_lots: float, rng: random.Random) -> None:
        super().__init__("ladder maker")
        self._grid = grid
        self._levels = levels
        self._typical = typical_lots
        self._rng = rng
        # A place is its price over the grid, negative for bids: a greater one is further away on both sides.
        self._orders: dict[bool, dict[int, Resting]] = {True: {}, False: {}}
        self._first: dict[bool, int] = {}

    def withdraw(self, market: Market, bid: int, ask: int) -> None:
        """Cancel what would stand at the touch or before it."""
        for is_bid, best in ((True, bid), (False, ask)):
            for place in range(self._first.get(is_bid, 0), self._nearest(best, is_bid=is_bid)) if self._first else ():
                self._cancel(market, place, is_bid=is_bid)

    def fill(self, market: Market, bid: int, ask: int) -> None:
        """Fill its range behind the touch, drop what is out of it, and change the size of one order a side, as makers do."""
        for is_bid, best in ((True, bid), (False, ask)):
            first, levels = self._nearest(best, is_bid=is_bid), self._levels
            before = self._first.get(is_bid, first + levels)
            if first < before:
                fresh, stale = range(first, min(before, first + levels)), range(max(first + levels, before), before + levels)
            else:
                fresh, stale = range(max(before + levels, first), first + levels), range(before, min(first, before + levels))
            for place in stale:
                self._cancel(market, place, is_bid=is_bid)
            for place in fresh:
                self._place(market, place, is_bid=is_bid)
            self._first[is_bid] = first
            for place in range(first, first + NEAR_LEVELS):
                order = self._orders[is_bid].get(place)
                if order is None or not order.lots:
                    self._place(market, place, is_bid=is_bid)
            chosen = first + self._rng.randrange(min(JITTER_LEVELS, levels))
            self._cancel(market, chosen, is_bid=is_bid)
            self._place(market, chosen, is_bid=is_bid)

    def _nearest(self, best: int, *, is_bid: bool) -> int:
        """Return the first place behind a best price."""
        return -((best - 1) // self._grid) if is_bid else best // self._grid + 1

    def _cancel(self, market: Market, place: int, *, is_bid: bool) -> None:
        order = self._orders[is_bid].pop(place, None)
        if order is not None:
            market.book.cancel(order)

    def _place(self, market: Market, place: int, *, is_bid: bool) -> None:
        price = (-place if is_bid else place) * self._grid
        if price > 0 and not market.book.crosses(price, bid=is_bid):
            lots = max(1, round(self._typical * self._rng.lognormvariate(0.0, 0.8)))
            self._orders[is_bid][place] = market.book.add(self, price, lots, bid=is_bid)
