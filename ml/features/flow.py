"""Order flow at the best prices, and the change of open interest: what happened during bars beside their trades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

OPEN_INTEREST_BARS = 20


class Touch(Protocol):
    """Best bid and ask: prices in the quote currency, quantities in the base asset."""

    @property
    def bid_price(self) -> float:
        """Best bid."""

    @property
    def bid_quantity(self) -> float:
        """Quantity at it."""

    @property
    def ask_price(self) -> float:
        """Best ask."""

    @property
    def ask_quantity(self) -> float:
        """Quantity at it."""


def order_flow(before: Touch, after: Touch) -> float:
    """Return what one change of the best prices adds to the order-flow imbalance, base asset.

    A bid that rose or stayed brings its quantity, one that fell or stayed takes away the quantity that was there; asks count the
    other way round (R. Cont, A. Kukanov and S. Stoikov, "The Price Impact of Order Book Events", Journal of Financial Econometrics
    12(1), 2014, section 2).
    """
    flow = 0.0
    if after.bid_price >= before.bid_price:
        flow += after.bid_quantity
    if after.bid_price <= before.bid_price:
        flow -= before.bid_quantity
    if after.ask_price <= before.ask_price:
        flow -= after.ask_quantity
    if after.ask_price >= before.ask_price:
        flow += before.ask_quantity
    return flow


class Flow(msgspec.Struct, array_like=True):
    """Order flow of the quotes of some time.

    Attributes
    ----------
    flow : float
        Order-flow imbalance, base asset.
    depth : float
        Sum over the quotes of the mean quantity of both sides, base asset.
    quotes : int
        Quotes that were counted.
    """

    flow: float = 0.0
    depth: float = 0.0
    quotes: int = 0

    def add(self, other: Flow) -> None:
        """Count another time's quotes too."""
        self.flow += other.flow
        self.depth += other.depth
        self.quotes += other.quotes

    def imbalance(self) -> float | None:
        """Return the order flow over the mean depth at the touch, to which its price impact is inverse (the same, section 3).

        0 where no quote came: nothing changed. None where the quotes say no quantities.
        """
        if not self.quotes:
            return 0.0
        return self.flow * self.quotes / self.depth if self.depth > 0.0 else None


def open_interest_change(closes: Sequence[float | None]) -> float | None:
    """Return the last of 21 open interests over the first, minus 1; None where there are fewer, or one of the two is not known."""
    if len(closes) <= OPEN_INTEREST_BARS:
        return None
    last, first = closes[-1], closes[-1 - OPEN_INTEREST_BARS]
    return last / first - 1.0 if last is not None and first is not None and first > 0.0 else None
