"""The generated markets of one product, as an account's orders meet them: in the same books and queues as everybody else's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Protocol

from connectors.exchange.simulated.account.matching import TakenQuantity
from connectors.exchange.simulated.account.orders import Order, Side
from connectors.exchange.simulated.market.book import Resting
from connectors.exchange.simulated.market.symbol import SymbolMarket


class Fillable(Protocol):
    """Whose orders stand in the books; :class:`connectors.exchange.simulated.account.matching.Matching` is one."""

    def filled(self, order: Order, price: Decimal, quantity: Decimal, trade_id: int, ts_us: int) -> None:
        """Take note that an order that stands in the market was filled."""

    def prevented(self, order: Order, ts_us: int) -> None:
        """Take note that an order was taken out of the market, because it met one of the account's own."""


class BookMarket:
    """The books of one product. To them it is the owner of the account's orders.

    Parameters
    ----------
    markets
        By symbol.
    """

    def __init__(self, markets: Mapping[str, SymbolMarket]) -> None:
        self._markets = markets
        self._account: Fillable | None = None
        self._orders: dict[Resting, Order] = {}
        self._standing: dict[int, Resting] = {}

    def serve(self, account: Fillable) -> None:
        """Name whose orders these are."""
        self._account = account

    def best(self, symbol: str, *, bids: bool) -> tuple[Decimal, Decimal] | None:
        """Return (price, quantity) of the best level."""
        market = self._markets[symbol]
        rules, book = market.rules, market.book
        price, lots = (book.bid, book.bid_lots) if bids else (book.ask, book.ask_lots)
        return (rules.price(price), rules.quantity(lots)) if lots else None

    def levels(self, symbol: str, *, bids: bool) -> Iterable[tuple[Decimal, Decimal]]:
        """Return (price, quantity) of the levels, best first."""
        market = self._markets[symbol]
        rows = market.book.bids() if bids else market.book.asks()
        return [(market.rules.price(p), market.rules.quantity(q)) for p, q in rows]

    def take(self, order: Order, quantity: Decimal, ts_us: int) -> TakenQuantity | None:
        """Trade an order with the first one on the other side, within its price."""
        market = self._markets[order.symbol]
        rules = market.rules
        limit = rules.ticks(order.price) if order.type.limited else None
        taken = market.take(self, rules.lots(quantity), limit, bid=order.side is Side.BUY, ts_us=ts_us)
        return None if taken is None else TakenQuantity(taken.trade_id, rules.price(taken.price), rules.quantity(taken.lots))

    def stand(self, order: Order, quantity: Decimal) -> None:
        """Have an order stand for a quantity: less keeps its place in the queue, more puts it at the end."""
        market = self._markets[order.symbol]
        lots, resting = market.rules.lots(quantity), self._standing.get(order.id)
        shown = resting.lots if resting is not None else 0
        if resting is not None and lots < shown:
            market.book.reduce(resting, shown - lots)
        elif lots > shown:
            if resting is not None:
                market.book.cancel(resting)
                del self._orders[resting]
            resting = market.book.add(self, market.rules.ticks(order.price), lots, bid=order.side is Side.BUY)
            self._standing[order.id], self._orders[resting] = resting, order
        if resting is not None and not resting.lots:
            self._forget(resting, order)

    def settled(self, symbol: str, ts_us: int) -> None:
        """Say that what changed the book is over."""
        self._markets[symbol].quoted(ts_us)

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price; of spot the mid."""
        market = self._markets[symbol]
        return market.mark.mark if market.rules.product.futures else market.rules.price(market.book.bid + market.book.ask) / 2

    def last(self, symbol: str) -> Decimal:
        """Return the price of the last trade."""
        market = self._markets[symbol]
        trade = market.tape.last
        return market.rules.price(trade.price) if trade is not None else self.mark(symbol)

    # --- owner of the account's orders -------------------------------------------------------------------------------------------------

    def filled(self, resting: Resting, price: int, lots: int, trade_id: int, ts_us: int) -> None:
        """Pass a fill on to the account."""
        order = self._orders[resting]
        if not resting.lots:
            self._forget(resting, order)
        rules = self._markets[order.symbol].rules
        if self._account is not None:
            self._account.filled(order, rules.price(price), rules.quantity(lots), trade_id, ts_us)

    def prevented(self, resting: Resting, ts_us: int) -> None:
        """Pass it on to the account."""
        order = self._orders[resting]
        self._forget(resting, order)
        if self._account is not None:
            self._account.prevented(order, ts_us)

    def _forget(self, resting: Resting, order: Order) -> None:
        del self._orders[resting]
        del self._standing[order.id]
