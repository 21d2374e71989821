"""Money of one account: wallet, positions, margin, fees, funding. Pure, in :class:`~decimal.Decimal`.

The law that everything here keeps, to the last digit: ``wallet = deposited + realised - fees + funding + insured``, where ``insured`` is
what the venue's insurance fund paid to lift a wallet out of the red after a liquidation, and ``deposited`` is less what was withdrawn.

Positions are one-way (one signed quantity a symbol). A cross position is backed by the whole wallet, an isolated one by the initial margin
that was set aside for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from connectors.exchange.simulated.market.instruments import Instrument

ZERO = Decimal(0)
_CENT = Decimal("1e-8")
KEPT_INCOME = 400_000
Marks = Callable[[str], Decimal]


class MarginType(StrEnum):
    """What backs a position, as the venue's user stream names it."""

    CROSS = "cross"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True)
class Rates:
    """Fees as fractions of notional."""

    maker: Decimal = Decimal("0.0002")
    taker: Decimal = Decimal("0.0004")
    liquidation: Decimal = Decimal("0.0125")


@dataclass(slots=True)
class Position:
    """Position and settings of one symbol."""

    symbol: str
    leverage: int = 20
    margin_type: MarginType = MarginType.CROSS
    quantity: Decimal = ZERO
    """Positive is long, negative is short."""
    entry_price: Decimal = ZERO
    realised: Decimal = ZERO
    """Realised profit since the start, before fees."""
    costs: Decimal = ZERO
    """Fees paid and funding not received for the position that is open."""
    isolated_wallet: Decimal = ZERO
    updated_us: int = 0

    @property
    def break_even_price(self) -> Decimal:
        """Price at which closing would cover entry and costs so far."""
        return self.entry_price + self.costs / self.quantity if self.quantity else ZERO

    def unrealised(self, mark: Decimal) -> Decimal:
        """Return the profit at a price."""
        return self.quantity * (mark - self.entry_price)


@dataclass(frozen=True, slots=True)
class OpenNotional:
    """Notional (USDT) of the orders of one symbol that may open or add: bids and asks apart."""

    buys: Decimal = ZERO
    sells: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class FillEffect:
    """What a fill did to the wallet."""

    realised: Decimal
    fee: Decimal
    asset: str = "USDT"
    """What the fee is paid in."""


@dataclass(frozen=True, slots=True)
class Income:
    """One entry of the account's history; its id grows with each."""

    symbol: str
    kind: str
    amount: Decimal
    ts_us: int
    id: int


def money(value: Decimal) -> Decimal:
    """Round money to the venue's eight decimals."""
    return value.quantize(_CENT, ROUND_HALF_EVEN)


@dataclass(slots=True)
class Ledger:
    """The account's book-keeping.

    Parameters
    ----------
    deposited
        First wallet balance, USDT; later deposits and withdrawals are added.
    instruments
        By symbol: what can be traded.
    rates
        Fees.
    first_id
        Id of the first entry of the history.
    """

    deposited: Decimal
    instruments: Mapping[str, Instrument]
    rates: Rates = field(default_factory=Rates)
    first_id: int = 1
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    insured: Decimal = ZERO
    wallet: Decimal = field(init=False)
    positions: dict[str, Position] = field(default_factory=dict)
    history: deque[Income] = field(default_factory=lambda: deque(maxlen=KEPT_INCOME))

    _next_id: int = field(init=False)

    def __post_init__(self) -> None:
        self.wallet = self.deposited
        self._next_id = self.first_id

    def position(self, symbol: str) -> Position:
        """Return the position of a symbol, flat at first."""
        return self.positions.setdefault(symbol, Position(symbol))

    def _enter(self, symbol: str, kind: str, amount: Decimal, ts_us: int) -> None:
        self.history.append(Income(symbol, kind, amount, ts_us, self._next_id))
        self._next_id += 1

    def fill(self, symbol: str, quantity: Decimal, price: Decimal, rate: Decimal, ts_us: int) -> FillEffect:
        """Book a fill.

        Parameters
        ----------
        symbol
            The symbol.
        quantity
            Bought (positive) or sold (negative).
        price
            Price of the fill.
        rate
            Fee as a fraction of the notional.
        ts_us
            When, microseconds.

        Returns
        -------
        FillEffect
            Realised profit and fee.
        """
        position = self.position(symbol)
        before = position.quantity
        closing = ZERO
        if before * quantity < 0:
            closing = min(abs(quantity), abs(before)).copy_sign(quantity)
        opening = quantity - closing
        realised = money(closing * (position.entry_price - price)) if closing else ZERO
        fee = money(abs(quantity) * price * rate)
        if closing:
            kept = 1 + closing / before
            position.isolated_wallet = money(position.isolated_wallet * kept)
            position.costs = money(position.costs * kept)
        if opening:
            held = before + closing
            position.entry_price = (abs(held) * position.entry_price + abs(opening) * price) / abs(held + opening)
            if position.margin_type is MarginType.ISOLATED:
                position.isolated_wallet += money(abs(opening) * price / position.leverage)
            position.costs += fee
        position.quantity = before + quantity
        position.realised += realised
        position.updated_us = ts_us
        if not position.quantity:
            position.entry_price = position.isolated_wallet = position.costs = ZERO
        self.realised += realised
        self.fees += fee
        self.wallet += realised - fee
        if realised:
            self._enter(symbol, "REALIZED_PNL", realised, ts_us)
        self._enter(symbol, "COMMISSION", -fee, ts_us)
        return FillEffect(realised, fee)

    def settle_funding(self, symbol: str, rate: Decimal, mark: Decimal, ts_us: int) -> Decimal:
        """Pay or receive funding; longs pay a positive rate. Return the amount received."""
        position = self.positions.get(symbol)
        if position is None or not position.quantity:
            return ZERO
        amount = money(-position.quantity * mark * rate)
        position.costs -= amount
        self.funding += amount
        self.wallet += amount
        self._enter(symbol, "FUNDING_FEE", amount, ts_us)
        return amount

    def insure(self, ts_us: int) -> Decimal:
        """Lift a wallet in the red to zero from the insurance fund; return the amount."""
        if self.wallet >= 0:
            return ZERO
        amount = -self.wallet
        self.insured += amount
        self.wallet = ZERO
        self._enter("", "INSURANCE_CLEAR", amount, ts_us)
        return amount

    def transfer(self, amount: Decimal, ts_us: int) -> None:
        """Deposit money, or withdraw it where the amount is negative."""
        self.deposited += amount
        self.wallet += amount
        self._enter("", "TRANSFER", amount, ts_us)

    # --- margin ------------------------------------------------------------------------------------------------------------------------

    @property
    def cross_wallet(self) -> Decimal:
        """Wallet without what isolated positions hold."""
        return self.wallet - sum((p.isolated_wallet for p in self.positions.values()), ZERO)

    def held(self) -> list[Position]:
        """Return the open positions."""
        return [p for p in self.positions.values() if p.quantity]

    def unrealised(self, marks: Marks, margin_type: MarginType | None = None) -> Decimal:
        """Return the profit of the open positions at mark prices."""
        return sum((p.unrealised(marks(p.symbol)) for p in self._of(margin_type)), ZERO)

    def maintenance(self, position: Position, mark: Decimal) -> Decimal:
        """Return the maintenance margin: ``notional * rate - deduction`` of the position's bracket."""
        notional = abs(position.quantity) * mark
        bracket = self.instruments[position.symbol].bracket(notional)
        return notional * bracket.maintenance_rate - bracket.deduction

    def initial_margin(self, symbol: str, mark: Decimal, orders: OpenNotional) -> Decimal:
        """Return the initial margin of position and orders: the worse of all bids or all asks filling, over the leverage."""
        position = self.position(symbol)
        if position.margin_type is MarginType.ISOLATED:
            return position.isolated_wallet + (orders.buys + orders.sells) / position.leverage
        notional = position.quantity * mark
        return max(abs(notional + orders.buys), abs(notional - orders.sells)) / position.leverage

    def margin_balance(self, marks: Marks) -> Decimal:
        """Return wallet plus the profit of cross positions."""
        return self.wallet + self.unrealised(marks, MarginType.CROSS)

    def available(self, marks: Marks, orders: Mapping[str, OpenNotional]) -> Decimal:
        """Return what new orders may use; not below zero."""
        symbols = {p.symbol for p in self.held()} | set(orders)
        used = sum((self.initial_margin(s, marks(s), orders.get(s, OpenNotional())) for s in symbols), ZERO)
        return max(self.margin_balance(marks) - used, ZERO)

    def to_liquidate(self, marks: Marks) -> list[Position]:
        """Return the positions whose margin no longer covers their maintenance margin."""
        failed = [
            p
            for p in self._of(MarginType.ISOLATED)
            if p.isolated_wallet + p.unrealised(marks(p.symbol)) <= self.maintenance(p, marks(p.symbol))
        ]
        cross = self._of(MarginType.CROSS)
        if cross:
            needed = sum((self.maintenance(p, marks(p.symbol)) for p in cross), ZERO)
            if self.cross_wallet + self.unrealised(marks, MarginType.CROSS) <= needed:
                failed += cross
        return failed

    def liquidation_price(self, position: Position, marks: Marks) -> Decimal:
        """Return the mark price at which a position is liquidated, other marks as they are; zero where none is above zero."""
        if not position.quantity:
            return ZERO
        mark = marks(position.symbol)
        bracket = self.instruments[position.symbol].bracket(abs(position.quantity) * mark)
        if position.margin_type is MarginType.ISOLATED:
            backing = position.isolated_wallet
        else:
            others = [p for p in self._of(MarginType.CROSS) if p.symbol != position.symbol]
            backing = self.cross_wallet + sum((p.unrealised(marks(p.symbol)) - self.maintenance(p, marks(p.symbol)) for p in others), ZERO)
        slope = abs(position.quantity) * bracket.maintenance_rate - position.quantity
        return max((backing + bracket.deduction - position.quantity * position.entry_price) / slope, ZERO)

    def _of(self, margin_type: MarginType | None) -> list[Position]:
        held: Iterable[Position] = self.held()
        return [p for p in held if margin_type is None or p.margin_type is margin_type]
