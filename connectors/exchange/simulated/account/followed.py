"""A market that is fed from outside, as an account's orders meet it: only its best prices and its trades are known.

A resting order joins the queue of its price behind what is displayed there. Trades at its price against its side work the queue off and
then fill it; a trade or an opposite quote through its price fills it at its own price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from connectors.exchange.simulated.account.matching import TakenQuantity
from connectors.exchange.simulated.account.orders import Order, Side
from connectors.exchange.simulated.account.traded import Fillable
from connectors.exchange.simulated.market.instruments import Instrument

Number = Decimal | float | str
ASSUMED_LEVELS = 20
"""Levels below the best price that a followed market is taken to have."""


class FollowedQuote:
    """The newest quote of one symbol, less what the account took from it.

    Prices and quantities become exact, on the instrument's grid, only when something asks for them: most quotes pass unseen.
    """

    __slots__ = ("_raw", "_rules", "last", "mark", "taken_ask", "taken_bid", "update_id")

    def __init__(self, rules: Instrument, raw: tuple[Number, Number, Number, Number], mark: Decimal | None, update_id: int) -> None:
        self._rules = rules
        self._raw = raw
        self.mark = mark
        self.last: Decimal | None = None
        self.update_id = update_id
        self.taken_bid = self.taken_ask = Decimal(0)

    @property
    def bid(self) -> Decimal:
        """Best bid."""
        return _on_grid(self._raw[0], self._rules.tick_size)

    @property
    def bid_quantity(self) -> Decimal:
        """Quantity at the best bid."""
        return _on_grid(self._raw[1], self._rules.step_size)

    @property
    def ask(self) -> Decimal:
        """Best ask."""
        return _on_grid(self._raw[2], self._rules.tick_size)

    @property
    def ask_quantity(self) -> Decimal:
        """Quantity at the best ask."""
        return _on_grid(self._raw[3], self._rules.step_size)


@dataclass(slots=True, eq=False)
class _Standing:
    """An order in the queue of its price."""

    order: Order
    quantity: Decimal
    ahead: Decimal
    """Quantity that stands before it."""


class FollowedMarket:
    """A market whose quotes and trades come from outside.

    Only the best level is known. Behind it the market is taken to have :data:`ASSUMED_LEVELS` further levels, one tick apart, each with
    the quantity of the best: an order that is larger than the best quantity pays more, level by level. What the account takes is gone
    until the next quote.

    Parameters
    ----------
    instruments
        By symbol: what is listed.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self.instruments = dict(instruments)
        self.quotes: dict[str, FollowedQuote] = {}
        self.now_us = 0
        """Time of the newest quote or trade of any symbol."""
        self._trade_id = 0
        self._update_id = 0
        self._account: Fillable | None = None
        self._standing: dict[str, dict[int, _Standing]] = {}

    def serve(self, account: Fillable) -> None:
        """Name whose orders stand in it."""
        self._account = account

    def quote(self, symbol: str, bid: Number, bid_quantity: Number, ask: Number, ask_quantity: Number, ts_us: int) -> FollowedQuote:
        """Take a new quote; prices and quantities are rounded to the instrument's ticks and lots."""
        before = self.quotes.get(symbol)
        self._update_id += 1
        mark = before.mark if before else None
        quote = FollowedQuote(self.instruments[symbol], (bid, bid_quantity, ask, ask_quantity), mark, self._update_id)
        quote.last = before.last if before else None
        self.quotes[symbol] = quote
        self.now_us = max(self.now_us, ts_us)
        return quote

    def best(self, symbol: str, *, bids: bool) -> tuple[Decimal, Decimal] | None:
        """Return (price, quantity) of the best level that is left, or None before the first quote."""
        return next(iter(self.levels(symbol, bids=bids)), None)

    def levels(self, symbol: str, *, bids: bool) -> Iterable[tuple[Decimal, Decimal]]:
        """Return (price, quantity) of the known and the assumed levels, best first."""
        quote = self.quotes.get(symbol)
        if quote is None:
            return []
        price, size, taken = (quote.bid, quote.bid_quantity, quote.taken_bid) if bids else (quote.ask, quote.ask_quantity, quote.taken_ask)
        tick = self.instruments[symbol].tick_size * (-1 if bids else 1)
        rows: list[tuple[Decimal, Decimal]] = []
        for level in range(1 + ASSUMED_LEVELS):
            gone = min(taken, size)
            taken -= gone
            if size - gone > 0 and price + tick * level > 0:
                rows.append((price + tick * level, size - gone))
        return rows

    def take(self, order: Order, quantity: Decimal, ts_us: int) -> TakenQuantity | None:
        """Trade an order with the best level that is left, within its price; the outside market prints no trade."""
        best = self.best(order.symbol, bids=order.side is Side.SELL)
        if best is None or (order.type.limited and (best[0] - order.price) * order.side.sign > 0):
            return None
        quote, done = self.quotes[order.symbol], min(quantity, best[1])
        if order.side is Side.SELL:
            quote.taken_bid += done
        else:
            quote.taken_ask += done
        return TakenQuantity(self._next_trade_id(), best[0], done)

    def stand(self, order: Order, quantity: Decimal) -> None:
        """Have an order stand for a quantity: less keeps its place in the queue, more puts it at the end."""
        orders = self._standing.setdefault(order.symbol, {})
        standing = orders.get(order.id)
        if quantity <= 0:
            orders.pop(order.id, None)
        elif standing is None or quantity > standing.quantity:
            orders[order.id] = _Standing(order, quantity, self._displayed(order))
        else:
            standing.quantity = quantity

    def settled(self, symbol: str, ts_us: int) -> None:
        """Do nothing: the outside market does not see the account's orders."""

    def on_trade(self, symbol: str, price: Decimal, quantity: Decimal, aggressor: Side, ts_us: int) -> None:
        """Work off queues and fill orders by a trade."""
        quote = self.quotes.get(symbol)
        if quote is not None:
            quote.last = price
        left = quantity
        for standing in self._by_priority(symbol):
            order = standing.order
            if order.side is aggressor or (order.price - price) * order.side.sign < 0 or left <= 0:
                continue
            if order.price == price:
                worked = min(standing.ahead, left)
                standing.ahead -= worked
                filled = min(standing.quantity, left - worked)
            else:  # traded through: everything before it at its price is gone
                standing.ahead = Decimal(0)
                filled = min(standing.quantity, left)
            left -= self._fill(standing, filled, ts_us)

    def on_quote(self, symbol: str, ts_us: int) -> None:
        """Fill orders that the opposite best price has reached, with what it shows."""
        if not self._standing.get(symbol):
            return
        for bids in (True, False):
            best = self.best(symbol, bids=bids)
            if best is None:
                continue
            price, left = best
            for standing in self._by_priority(symbol):
                order = standing.order
                if (order.side is Side.SELL) is bids and (order.price - price) * order.side.sign >= 0 and left > 0:
                    left -= self._fill(standing, min(standing.quantity, left), ts_us)

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price that was fed, or the mid; zero before the first quote."""
        quote = self.quotes.get(symbol)
        if quote is None:
            return Decimal(0)
        return quote.mark if quote.mark is not None else (quote.bid + quote.ask) / 2

    def last(self, symbol: str) -> Decimal:
        """Return the price of the last trade, before the first one the mid; zero before the first quote."""
        quote = self.quotes.get(symbol)
        return quote.last if quote is not None and quote.last is not None else self.mark(symbol)

    def _fill(self, standing: _Standing, quantity: Decimal, ts_us: int) -> Decimal:
        """Fill an order that still stands; return what was filled."""
        order = standing.order
        orders = self._standing[order.symbol]
        quantity = min(quantity, standing.quantity)
        if quantity <= 0 or orders.get(order.id) is not standing:
            return Decimal(0)
        standing.quantity -= quantity
        if not standing.quantity:
            del orders[order.id]
        if self._account is not None:
            self._account.filled(order, order.price, quantity, self._next_trade_id(), ts_us)
        return quantity

    def _by_priority(self, symbol: str) -> list[_Standing]:
        """Return the orders that stand, those at the better price and then the older first."""
        orders = self._standing.get(symbol)
        return sorted(orders.values(), key=lambda s: (-s.order.price * s.order.side.sign, s.order.id)) if orders else []

    def _displayed(self, order: Order) -> Decimal:
        """Return the quantity that is taken to stand at an order's price: the best level's, or none before it."""
        best = self.best(order.symbol, bids=order.side is Side.BUY)
        return Decimal(0) if best is None or (order.price - best[0]) * order.side.sign > 0 else best[1]

    def _next_trade_id(self) -> int:
        self._trade_id += 1
        return self._trade_id


def _on_grid(value: Number, unit: Decimal) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    return (number / unit).to_integral_value() * unit
