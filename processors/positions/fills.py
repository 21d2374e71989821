"""Fill accounting: positions from fills, shared by the stages that keep positions and that keep the journal.

A position is kept by average cost. Let Q be its quantity and C the cost of what is held (sum of quantity times price of its
entries, less the cost of what was left). A reduction by q at price p takes q/Q of the cost away, so that the realised profit
of a long is q*p - C*q/Q, and that of a short its negative; at the last reduction the whole cost goes. Hence the realised
profit of a position that is flat again is *exactly* the value of its exits less the value of its entries.
A venue that says what it booked for a fill rounds by its own rules: its figure is taken then, so that the ledger and the venue's
wallet stay the same to the last digit.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from quantum.errors import CorruptRecordError, DeadLetterError
from schemas.common import PositionSide, Side, TransferKind
from schemas.execution.records import AccountTransfer, ExecutionResult

ZERO = Decimal(0)
STEP = Decimal("1e-10")
"""Averages and shares are written to this step; sums and products of the ledger are not rounded."""
SEEN_KEPT = 512


class Holding(msgspec.Struct, kw_only=True):
    """A position and everything that its fills say of it; money in the quote currency, quantities in the base asset.

    Attributes
    ----------
    position_id : str
        Client order id of its first entry.
    cost : Decimal
        Cost of the quantity that is held.
    realised, fees, funding : Decimal
        Realised profit before fees, fees, and funding received.
    risk : Decimal or None
        Money at risk at the initial stop, of what is filled of its entries.
    entered, entry_value, entry_reference : Decimal
        Quantity, value at fill prices and value at reference prices of all its entries.
    exited, exit_value, exit_reference : Decimal
        The same of all its exits.
    exit_reason : str
        Reason of the last exit.
    """

    position_id: str
    account: str
    symbol: str
    venue: str
    side: PositionSide
    strategy: str
    signal_id: str | None
    leverage: float
    initial_stop: Decimal | None
    opened_ts: int
    updated_ts: int
    quantity: Decimal = ZERO
    largest: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    risk: Decimal | None = None
    entered: Decimal = ZERO
    entry_value: Decimal = ZERO
    entry_reference: Decimal = ZERO
    exited: Decimal = ZERO
    exit_value: Decimal = ZERO
    exit_reference: Decimal = ZERO
    exit_reason: str = ""
    entry_orders: list[str] = []
    exit_orders: list[str] = []

    @property
    def direction(self) -> int:
        """1 for a long, -1 for a short."""
        return 1 if self.side is PositionSide.LONG else -1

    @property
    def entry_price(self) -> Decimal:
        """Average price of what is held; of all entries once it is flat."""
        return rounded(self.cost / self.quantity if self.quantity else self.entry_value / self.entered)

    @property
    def margin(self) -> Decimal:
        """Initial margin of what is held."""
        return rounded(self.cost / Decimal(repr(self.leverage)))

    def unrealised(self, mark: Decimal) -> Decimal:
        """Profit of closing what is held at a price."""
        return self.direction * (self.quantity * mark - self.cost)


class Seen(msgspec.Struct):
    """Fills that were taken, so that none counts twice: the newest ids, oldest first."""

    ids: list[str] = []

    def has(self, fill: ExecutionResult) -> bool:
        """Return whether a fill was taken before."""
        return _fill_id(fill) in self.ids

    def add(self, fill: ExecutionResult) -> None:
        """Remember a fill."""
        self.ids.append(_fill_id(fill))
        del self.ids[:-SEEN_KEPT]


def _fill_id(fill: ExecutionResult) -> str:
    return f"{fill.client_order_id}:{fill.trade_id}"


class Fill(msgspec.Struct, frozen=True):
    """What a result says of a fill, with nothing missing but what the venue may leave out: all in the quote currency but the quantity."""

    quantity: Decimal
    price: Decimal
    fee: Decimal
    realised: Decimal | None = None


def rounded(value: Decimal) -> Decimal:
    """Return a value to ten decimals."""
    return value.quantize(STEP, ROUND_HALF_EVEN)


def fill_of(result: ExecutionResult, quote_asset: str) -> Fill | None:
    """Return the fill of a result; None where the result is no fill.

    Raises
    ------
    CorruptRecordError
        The fill has no quantity, price, commission or side, or its order no quantity, reference price or leverage.
    DeadLetterError
        The commission is paid in another asset than the quote currency, which the ledger cannot value.
    """
    if result.trade_id is None:
        return None
    quantity, price, fee = result.fill_quantity, result.fill_price, result.commission
    if quantity is None or price is None or fee is None or quantity <= 0 or price <= 0 or result.side is Side.UNKNOWN:
        raise CorruptRecordError(f"fill {result.event_id}: quantity {quantity}, price {price}, commission {fee}, side {result.side}")
    if result.quantity <= 0 or result.reference_price <= 0 or not result.leverage > 0:
        raise CorruptRecordError(
            f"fill {result.event_id}: of an order of {result.quantity} at reference {result.reference_price}, leverage {result.leverage}"
        )
    if fee and result.commission_asset != quote_asset:
        raise DeadLetterError(
            f"fill {result.event_id}: commission of {fee} {result.commission_asset}, the ledger is kept in {quote_asset}",
            "switch off paying fees in another asset at the venue",
        )
    return Fill(quantity, price, fee, result.realised_pnl)


def apply(held: Holding | None, result: ExecutionResult, fill: Fill) -> tuple[Holding | None, Holding | None]:
    """Apply a fill to what is held.

    Parameters
    ----------
    held
        The open position of the symbol; changed in place.
    result
        The fill's order.
    fill
        Quantity, price and fee.

    Returns
    -------
    closed : Holding or None
        The position that this fill made flat.
    held : Holding or None
        The position that is open after it. A fill that is larger than the opposite position closes it and opens another one
        in the other direction; the fee is shared by quantity.

    Raises
    ------
    DeadLetterError
        A reduce-only fill finds less to reduce than it filled: the ledger and the venue differ. Nothing is changed.
    """
    side = PositionSide.LONG if result.side is Side.BUY else PositionSide.SHORT
    reducing = min(fill.quantity, held.quantity) if held is not None and held.side is not side else ZERO
    rest = fill.quantity - reducing
    if result.reduce_only and rest:
        raise DeadLetterError(
            f"reduce-only fill {result.event_id} of {fill.quantity} {result.symbol} finds {reducing} to reduce",
            "reconcile the positions with the venue's",
        )
    fee = rounded(fill.fee * reducing / fill.quantity) if rest else fill.fee
    closed: Holding | None = None
    if held is not None and reducing:
        _reduce(held, result, reducing, fill, fee)
        if not held.quantity:
            closed, held = held, None
    if rest:
        held = held or _opened(result, side)
        _add(held, result, rest, fill.price, fill.fee - fee)
    return closed, held


def fund(held: Holding | None, transfer: AccountTransfer) -> bool:
    """Give an open position the funding of its symbol; return whether it was its own."""
    if held is None or transfer.kind is not TransferKind.FUNDING or transfer.event_ts < held.opened_ts:
        return False
    held.funding += transfer.amount
    return True


def _opened(result: ExecutionResult, side: PositionSide) -> Holding:
    return Holding(
        position_id=result.client_order_id, account=result.account, symbol=result.symbol, venue=result.venue, side=side,
        strategy=result.strategy, signal_id=result.signal_id, leverage=result.leverage, initial_stop=result.stop_price,
        opened_ts=result.event_ts, updated_ts=result.event_ts,
    )  # fmt: skip


def _add(held: Holding, result: ExecutionResult, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
    held.quantity += quantity
    held.largest = max(held.largest, held.quantity)
    held.cost += quantity * price
    held.fees += fee
    held.entered += quantity
    held.entry_value += quantity * price
    held.entry_reference += quantity * result.reference_price
    held.updated_ts = result.event_ts
    if result.risk_amount is not None:
        held.risk = (held.risk or ZERO) + result.risk_amount * quantity / result.quantity
    if held.initial_stop is None:
        held.initial_stop = result.stop_price
    if result.client_order_id not in held.entry_orders:
        held.entry_orders.append(result.client_order_id)


def _reduce(held: Holding, result: ExecutionResult, quantity: Decimal, fill: Fill, fee: Decimal) -> None:
    cost = held.cost if quantity == held.quantity else held.cost * quantity / held.quantity
    held.realised += held.direction * (quantity * fill.price - cost) if fill.realised is None else fill.realised
    held.quantity -= quantity
    held.cost -= cost
    held.fees += fee
    held.exited += quantity
    held.exit_value += quantity * fill.price
    held.exit_reference += quantity * result.reference_price
    held.exit_reason = result.reason
    held.updated_ts = result.event_ts
    if result.client_order_id not in held.exit_orders:
        held.exit_orders.append(result.client_order_id)
