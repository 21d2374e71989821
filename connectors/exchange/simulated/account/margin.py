"""Orders and the money of a futures account: margin before an order, the ledger after a fill, funding and liquidation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal

from connectors.exchange.simulated.account.ledger import ZERO, FillEffect, Ledger, OpenNotional
from connectors.exchange.simulated.account.matching import Matching
from connectors.exchange.simulated.account.orders import AccountUpdate, Order, OrderRequest, Side
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.account.store import OrderStore
from connectors.exchange.simulated.market.instruments import Instrument


class MarginAccounting:
    """The accounting of one futures account.

    Parameters
    ----------
    ledger
        The account's money.
    store
        The account's orders.
    mark
        Returns the mark price of a symbol.
    """

    def __init__(self, ledger: Ledger, store: OrderStore, mark: Callable[[str], Decimal]) -> None:
        self._ledger = ledger
        self._store = store
        self._mark = mark

    def open_notional(self) -> dict[str, OpenNotional]:
        """Return the notional of open orders that are not reduce-only, by symbol."""
        return {symbol: self._notional(symbol) for symbol in self._store.open_symbols()}

    def available(self) -> Decimal:
        """Return the balance that new orders may use."""
        return self._ledger.available(self._mark, self.open_notional())

    def check(self, rules: Instrument, request: OrderRequest, best: Decimal) -> None:
        """Refuse an order whose margin is not there, or that is too large for its leverage."""
        ledger, mark = self._ledger, self._mark(request.symbol)
        position = ledger.position(request.symbol)
        notional = request.quantity * (request.price or best)
        orders = self._notional(request.symbol)
        buying = request.side is Side.BUY
        after = OpenNotional(orders.buys + notional * buying, orders.sells + notional * (not buying))
        worst = max(abs(position.quantity * mark + after.buys), abs(position.quantity * mark - after.sells))
        if rules.bracket(worst).max_leverage < position.leverage and worst > abs(position.quantity * mark):
            raise refusal(-2027)
        more = ledger.initial_margin(request.symbol, mark, after) - ledger.initial_margin(request.symbol, mark, orders)
        if more > 0 and more + notional * ledger.rates.taker > self.available():
            raise refusal(-2019)

    def reducible(self, symbol: str, side: Side) -> Decimal:
        """Return what a reduce-only order of a side may still fill."""
        return -self._ledger.position(symbol).quantity * side.sign

    def reserve(self, order: Order, quantity: Decimal) -> None:
        """Do nothing: the margin of open orders is computed from the orders."""

    def fill(self, order: Order, price: Decimal, quantity: Decimal, ts_us: int, *, maker: bool) -> FillEffect:
        """Book a fill."""
        rates = self._ledger.rates
        rate = rates.liquidation if order.liquidation else rates.maker if maker else rates.taker
        return self._ledger.fill(order.symbol, quantity * order.side.sign, price, rate, ts_us)

    def told(self, symbol: str, ts_us: int) -> AccountUpdate:
        """Return what the user stream says of the money after a fill."""
        return self._update("ORDER", (symbol,), ts_us, ZERO)

    def settle_funding(self, matching: Matching, symbol: str, rate: Decimal, ts_us: int) -> None:
        """Pay or receive funding for a position."""
        amount = self._ledger.settle_funding(symbol, rate, self._mark(symbol), ts_us)
        if amount:
            matching.tell(self._update("FUNDING_FEE", (), ts_us, amount))

    def transfer(self, matching: Matching, amount: Decimal, ts_us: int) -> None:
        """Deposit money, or withdraw it where the amount is negative."""
        self._ledger.transfer(amount, ts_us)
        matching.tell(self._update("DEPOSIT" if amount > 0 else "WITHDRAW", (), ts_us, amount))

    def liquidate(self, matching: Matching, ts_us: int) -> bool:
        """Close at market what maintenance margin no longer covers; return whether there was anything."""
        failed = self._ledger.to_liquidate(self._mark)
        for position in failed:
            matching.close_out(position.symbol, position.quantity, ts_us)  # where the book is too thin the next call goes on
        if failed and not self._ledger.held() and (amount := self._ledger.insure(ts_us)):
            matching.tell(self._update("INSURANCE_CLEAR", (), ts_us, amount))
        return bool(failed)

    def _notional(self, symbol: str) -> OpenNotional:
        sums = {Side.BUY: ZERO, Side.SELL: ZERO}
        for order in self._store.open_orders(symbol):
            if not order.reduce_only:
                sums[order.side] += order.remaining * order.price
        return OpenNotional(sums[Side.BUY], sums[Side.SELL])

    def _update(self, reason: str, symbols: tuple[str, ...], ts_us: int, change: Decimal) -> AccountUpdate:
        positions = tuple(copy.copy(self._ledger.position(s)) for s in symbols)
        return AccountUpdate(reason, self._ledger.wallet, self._ledger.cross_wallet, change, positions, ts_us)
