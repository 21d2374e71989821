"""What a pre-trade check is given and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from processors.risk.state import AccountState
from schemas.common import DenialCode, Side
from schemas.governance.records import Policy
from schemas.positions.records import PortfolioSnapshot
from schemas.risk.records import SizingDecided

MINUTE_US = 60_000_000
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that failed.

    Attributes
    ----------
    code
        Its denial code.
    value, limit
        What was found and what is allowed, in one unit; None where the check is not about a number.
    detail
        The same in words.
    """

    code: DenialCode
    value: float | None
    limit: float | None
    detail: str


@dataclass(frozen=True)
class Context:
    """An entry, the policy in force, and the account as the checks see it: positions and entries under way together.

    Attributes
    ----------
    sizing
        The entry.
    policy
        The policy in force.
    snapshot
        The newest state of the account.
    account
        What the checks remember; reservations that ran out are gone already.
    """

    sizing: SizingDecided
    policy: Policy
    snapshot: PortfolioSnapshot
    account: AccountState

    @property
    def now(self) -> int:
        """Time of the entry, microseconds since the epoch, UTC."""
        return self.sizing.event_ts

    @cached_property
    def signed_notional(self) -> Decimal:
        """Notional of the entry, negative for a sell, quote currency."""
        return signed(self.sizing.side, self.sizing.notional)

    @cached_property
    def held(self) -> dict[str, Decimal]:
        """Signed notional by symbol, of positions and of entries under way, quote currency."""
        out: dict[str, Decimal] = {}
        if self.account.exposure is not None:
            for entry in self.account.exposure.symbols:
                out[entry.symbol] = out.get(entry.symbol, Decimal(0)) + entry.notional
        for reservation in self.account.reservations.values():
            out[reservation.symbol] = out.get(reservation.symbol, Decimal(0)) + signed(reservation.side, reservation.notional)
        return out

    @cached_property
    def gross(self) -> Decimal:
        """Gross exposure of positions and entries under way, quote currency; opposite sides in a symbol do not cancel."""
        positions = Decimal(0) if self.account.exposure is None else self.account.exposure.gross
        return positions + sum((reservation.notional for reservation in self.account.reservations.values()), Decimal(0))

    @cached_property
    def reserved_margin(self) -> Decimal:
        """Margin of entries under way, quote currency."""
        return sum((reservation.margin for reservation in self.account.reservations.values()), Decimal(0))

    @cached_property
    def reserved_risk(self) -> Decimal:
        """Money at risk of entries under way, quote currency."""
        return sum((reservation.risk for reservation in self.account.reservations.values()), Decimal(0))

    @cached_property
    def free_balance(self) -> Decimal:
        """Balance that is free for new margin: the less of our own figure and the venue's, quote currency."""
        if self.account.available is None:
            return self.snapshot.available
        return min(self.snapshot.available, self.account.available)


def signed(side: Side, notional: Decimal) -> Decimal:
    """Return a notional with the sign of its side."""
    return notional if side is Side.BUY else -notional
