"""Orders, fills and what is told about them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from connectors.exchange.simulated.account.ledger import ZERO, Position


class Side(StrEnum):
    """Direction of an order."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """Types that the venue takes from an account, by the names that its futures have for them."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    """A limit order that waits for the price to move against the position that it protects."""
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT = "TAKE_PROFIT"
    """A limit order that waits for the price to move in favour."""
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"

    @property
    def conditional(self) -> bool:
        """It waits for a price before it works."""
        return self not in (OrderType.MARKET, OrderType.LIMIT)

    @property
    def limited(self) -> bool:
        """It has a limit price once it works."""
        return self in (OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT)


class WorkingType(StrEnum):
    """Which price a conditional order waits for."""

    CONTRACT_PRICE = "CONTRACT_PRICE"
    """That of the last trade."""
    MARK_PRICE = "MARK_PRICE"


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
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"
    """Taken out of the book, because it would have traded with an order of the same account."""


class Execution(StrEnum):
    """What happened to an order."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    AMENDMENT = "AMENDMENT"
    CALCULATED = "CALCULATED"
    """A fill of a liquidation."""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a client asks for.

    Attributes
    ----------
    trigger
        Price that a conditional order waits for; of a trailing stop the price that starts it, zero for at once.
    callback
        How far the price must come back from its extreme to trigger a trailing stop, as a fraction.
    close_position
        It closes the whole position when it triggers; its quantity is zero until then.
    """

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal = ZERO
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    client_order_id: str = ""
    trigger: Decimal = ZERO
    callback: Decimal = ZERO
    working_type: WorkingType = WorkingType.CONTRACT_PRICE
    close_position: bool = False
    original: OrderType | None = None
    """Type of the conditional order that has become this one."""


@dataclass(slots=True, eq=False)
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
    trigger: Decimal = ZERO
    original: OrderType | None = None
    working: bool = True
    """False while it waits for its trigger."""
    status: Status = Status.NEW
    filled: Decimal = ZERO
    quote: Decimal = ZERO
    """Sum of price times quantity of the fills."""

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
    fee_asset: str
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


@dataclass(frozen=True, slots=True)
class BalanceUpdate:
    """Balances of a spot account changed: (asset, free, locked)."""

    balances: tuple[tuple[str, Decimal, Decimal], ...]
    ts_us: int


class AlgoStatus(StrEnum):
    """State of a conditional order of the futures."""

    NEW = "NEW"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


@dataclass(slots=True, eq=False)
class Conditional:
    """An order that waits for its price.

    Attributes
    ----------
    extreme
        Best price since a trailing stop has started; zero before.
    order
        The order that works: from the trigger on, on spot from the beginning.
    """

    id: int
    client_id: str
    request: OrderRequest
    created_us: int
    updated_us: int
    status: AlgoStatus = AlgoStatus.NEW
    extreme: Decimal = ZERO
    triggered_us: int = 0
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class ConditionalUpdate:
    """A conditional order of the futures changed; `conditional` is a copy of it as it was then."""

    conditional: Conditional
    ts_us: int


Event = OrderUpdate | AccountUpdate | BalanceUpdate | ConditionalUpdate
