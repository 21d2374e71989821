"""What the exit brain remembers."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from schemas.common import ExitReason, InstrumentRules, PositionSide, Regime
from schemas.governance.records import Policy
from schemas.positions.records import PortfolioPosition


class Managed(msgspec.Struct, kw_only=True):
    """An open position under the exit brain; prices and money in the quote currency, quantities in the base asset.

    Attributes
    ----------
    position : PortfolioPosition
        Its newest record.
    price : float
        Last price that it was looked at with.
    best : float
        Best price since it was opened: the highest for a long, the lowest for a short.
    stop : float or None
        Stop in force; None until one can be set.
    stop_kind : ExitReason
        What the stop is by now: STOP, BREAKEVEN or TRAILING; the reason of an exit at it.
    risk : float or None
        Price distance that is 1 R; None until a stop can be set.
    told_stop : float or None
        Stop of the last decision that was written.
    moves : int
        Decisions that moved the stop.
    rungs : int
        Rungs of the ladder that are taken.
    laddered : Decimal
        Quantity that the ladder has taken or ordered.
    leg : int
        Orders sent.
    outstanding : Decimal
        Quantity that was ordered and has not been seen to leave the position.
    sent_ts : int
        When the last order was sent or was last seen to fill, microseconds.
    sent_reason : ExitReason
        Reason of the last order.
    leaving : ExitReason
        Why the whole position is being closed, whatever the price does now; NONE while it is held.
    """

    position: PortfolioPosition
    price: float
    best: float
    stop: float | None = None
    stop_kind: ExitReason = ExitReason.STOP
    risk: float | None = None
    told_stop: float | None = None
    moves: int = 0
    rungs: int = 0
    laddered: Decimal = Decimal(0)
    leg: int = 0
    outstanding: Decimal = Decimal(0)
    sent_ts: int = 0
    sent_reason: ExitReason = ExitReason.NONE
    leaving: ExitReason = ExitReason.NONE

    @property
    def direction(self) -> int:
        """1 for a long, -1 for a short."""
        return 1 if self.position.side is PositionSide.LONG else -1

    def in_r(self, price: float) -> float:
        """Return the profit at a price over the initial risk; 0 while the risk is not known."""
        if self.risk is None:
            return 0.0
        return self.direction * (price - float(self.position.entry_price)) / self.risk


class Market(msgspec.Struct):
    """What is known of a symbol at the venue.

    Attributes
    ----------
    atr : float or None
        ATR of the feature interval, quote currency.
    regime : Regime
        Regime.
    regime_since : int
        When it began, microseconds.
    rules : InstrumentRules or None
        What the venue accepts.
    """

    atr: float | None = None
    regime: Regime = Regime.WARMING_UP
    regime_since: int = 0
    rules: InstrumentRules | None = None


class Symbol(msgspec.Struct):
    """A symbol at the venue, and its open positions by account: nearly always none, so that a tick costs nothing."""

    market: Market = msgspec.field(default_factory=Market)
    open: dict[str, Managed] = {}


class Shared(msgspec.Struct):
    """Policies by account."""

    policies: dict[str, Policy] = {}
