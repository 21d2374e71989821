"""Orders and the money of a spot account: what is free, what orders have locked, and what fills exchange. Pure.

The law that everything here keeps, to the last digit: of each asset ``free + locked = deposited + received - spent - fees``; what an order
that stands will pay is locked before, so nothing is ever below zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from connectors.exchange.simulated.account.ledger import ZERO, FillEffect, Rates, money
from connectors.exchange.simulated.account.orders import BalanceUpdate, Order, OrderRequest, Side
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.market.instruments import Instrument

SPOT_RATES = Rates(maker=Decimal("0.001"), taker=Decimal("0.001"), liquidation=ZERO)


@dataclass(slots=True)
class Balance:
    """What an account has of one asset."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


class SpotAccounting:
    """The accounting of one spot account.

    Parameters
    ----------
    deposited
        First balances by asset.
    instruments
        By symbol: what can be traded.
    rates
        Fees; a buyer pays in what it receives, as a seller does.
    """

    def __init__(self, deposited: Mapping[str, Decimal], instruments: Mapping[str, Instrument], rates: Rates = SPOT_RATES) -> None:
        self.rates = rates
        self._instruments = instruments
        assets = [asset for rules in instruments.values() for asset in (rules.base_asset, rules.quote_asset)]
        self.balances = {asset: Balance(deposited.get(asset, ZERO)) for asset in dict.fromkeys([*assets, *deposited])}
        self.fees: dict[str, Decimal] = dict.fromkeys(self.balances, ZERO)
        self._moved: set[str] = set()

    def check(self, rules: Instrument, request: OrderRequest, best: Decimal) -> None:
        """Refuse an order that the free balance does not pay for."""
        asset, amount = self._price_of(rules, request.side, request.quantity, request.price or request.trigger or best)
        if amount > self.balances[asset].free:
            raise refusal(-2010)

    def reducible(self, symbol: str, side: Side) -> Decimal:
        """Return zero: spot has no positions."""
        return ZERO

    def reserve(self, order: Order, quantity: Decimal) -> None:
        """Lock what a quantity of an order that stands will pay, or give it back where the quantity is negative."""
        asset, amount = self._price_of(self._instruments[order.symbol], order.side, quantity, order.price or order.trigger)
        balance = self.balances[asset]
        balance.locked += amount
        balance.free -= amount
        if amount:
            self._moved.add(asset)

    def fill(self, order: Order, price: Decimal, quantity: Decimal, ts_us: int, *, maker: bool) -> FillEffect:
        """Exchange the two assets; the fee is taken from what is received."""
        rules = self._instruments[order.symbol]
        value = quantity * price
        buying = order.side is Side.BUY
        paid, received = ((rules.quote_asset, value), (rules.base_asset, quantity))[:: 1 if buying else -1]
        fee = money(received[1] * (self.rates.maker if maker else self.rates.taker))
        self.balances[paid[0]].free -= paid[1]
        self.balances[received[0]].free += received[1] - fee
        self.fees[received[0]] += fee
        return FillEffect(ZERO, fee, received[0])

    def told(self, symbol: str, ts_us: int) -> BalanceUpdate:
        """Return what the user stream says of the money after a fill."""
        rules = self._instruments[symbol]
        return self._update((rules.base_asset, rules.quote_asset), ts_us)

    def moved(self, ts_us: int) -> BalanceUpdate | None:
        """Return what the user stream says of money that was locked or given back since the last call."""
        assets, self._moved = sorted(self._moved), set()
        return self._update(assets, ts_us) if assets else None

    def _update(self, assets: Iterable[str], ts_us: int) -> BalanceUpdate:
        return BalanceUpdate(tuple((asset, self.balances[asset].free, self.balances[asset].locked) for asset in assets), ts_us)

    @staticmethod
    def _price_of(rules: Instrument, side: Side, quantity: Decimal, price: Decimal) -> tuple[str, Decimal]:
        return (rules.quote_asset, quantity * price) if side is Side.BUY else (rules.base_asset, quantity)
