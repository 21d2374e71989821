"""Orders, fills and what is told about them, and the checks that an order passes before it reaches the book."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from connectors.exchange.simulated.instruments import Instrument
from connectors.exchange.simulated.ledger import ZERO, Position
from connectors.exchange.simulated.refusal import refusal

_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")


class Side(StrEnum):
    """Direction of an order."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """Types that the venue takes from an account."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    """How long an order works."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"
    """Post only."""


class Status(StrEnum):
    """State of an order."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


class Execution(StrEnum):
    """What happened to an order."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    CALCULATED = "CALCULATED"
    """A fill of a liquidation."""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a client asks for."""

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal = ZERO
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    client_order_id: str = ""


@dataclass(slots=True)
class Order:
    """An order that the venue took."""

    id: int
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal
    time_in_force: TimeInForce
    reduce_only: bool
    created_us: int
    updated_us: int
    liquidation: bool = False
    status: Status = Status.NEW
    filled: Decimal = ZERO
    quote: Decimal = ZERO
    """Sum of price times quantity of the fills."""
    ahead: Decimal = ZERO
    """Quantity that stands before it in the queue of its price."""

    @property
    def remaining(self) -> Decimal:
        """Quantity that is not filled."""
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        """It can still fill."""
        return self.status in (Status.NEW, Status.PARTIALLY_FILLED)

    @property
    def average_price(self) -> Decimal:
        """Mean price of the fills."""
        return self.quote / self.filled if self.filled else ZERO


@dataclass(frozen=True, slots=True)
class Fill:
    """One fill of an order."""

    trade_id: int
    order_id: int
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    realised: Decimal
    maker: bool
    ts_us: int


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """An order changed; `order` is a copy of it as it was then."""

    order: Order
    execution: Execution
    fill: Fill | None
    ts_us: int


@dataclass(frozen=True, slots=True)
class AccountUpdate:
    """Wallet or positions changed; values are copies as they were then."""

    reason: str
    wallet: Decimal
    cross_wallet: Decimal
    balance_change: Decimal
    """Change that is neither realised profit nor fee."""
    positions: tuple[Position, ...]
    ts_us: int


Event = OrderUpdate | AccountUpdate


def check_client_order_id(value: str) -> None:
    """Refuse an id that the venue would not take."""
    if not _CLIENT_ID.fullmatch(value):
        raise refusal(-4015)


def check_filters(rules: Instrument, request: OrderRequest, reference: Decimal) -> None:
    """Check precision and size against the instrument's filters.

    Parameters
    ----------
    rules
        The instrument.
    request
        The order.
    reference
        Price that a market order's notional is computed with, USDT.
    """
    quantity, price = request.quantity, request.price
    if quantity <= 0:
        raise refusal(-4003)
    if _decimals(quantity) > rules.quantity_decimals:
        raise refusal(-1111)
    if quantity % rules.step_size:
        raise refusal(-4023)
    if quantity < rules.min_quantity:
        raise refusal(-4004)
    if quantity > (rules.market_max_quantity if request.type is OrderType.MARKET else rules.max_quantity):
        raise refusal(-4005)
    if request.type is OrderType.LIMIT:
        if price <= 0:
            raise refusal(-4001)
        if price > rules.max_price:
            raise refusal(-4002)
        if _decimals(price) > rules.price_decimals:
            raise refusal(-1111)
        if price % rules.tick_size:
            raise refusal(-4014)
        reference = price
    if not request.reduce_only and quantity * reference < rules.min_notional:
        raise refusal(-4164, f"{rules.min_notional:.1f}")


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0
