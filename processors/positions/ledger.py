"""The account's ledger, and the records that show it; pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from processors.output import Output
from processors.positions.fills import ZERO, Holding, rounded
from schemas.common import PositionSide, SymbolNotional
from schemas.execution.records import AccountTransfer
from schemas.positions.records import PortfolioExposure, PortfolioPosition, PortfolioSnapshot

DAY_US = 86_400_000_000


class Account(msgspec.Struct):
    """Ledger of an account, quote currency; times in microseconds since the epoch, UTC.

    Attributes
    ----------
    name : str
        The account.
    started : Decimal or None
        Balance that the ledger began with; None before the venue has told it.
    began : int
        Time of that balance: what moved before it is in it.
    realised, fees, funding, transferred : Decimal
        Realised profit before fees, fees, funding received, and other money that moved into the wallet, since the ledger began.
    transfers : list of str
        Ids of the newest transfers that were taken, oldest first.
    early : list of AccountTransfer
        Transfers that came before the first balance: whether it has them, its time says.
    holdings : dict
        Open positions by symbol.
    marks : dict
        Price that a position is valued at, by symbol.
    peak : Decimal
        Highest equity so far.
    day : int
        UTC day of ``day_equity``, days since the epoch.
    day_equity : Decimal
        Equity at the start of that day.
    ts : int
        Time of the newest event.
    drift : Decimal
        What the venue's balance is above the ledger's, at its newest report, where that is more than the tolerance; else 0.
    """

    name: str = ""
    started: Decimal | None = None
    began: int = 0
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    transferred: Decimal = ZERO
    transfers: list[str] = []
    early: list[AccountTransfer] = []
    holdings: dict[str, Holding] = {}
    marks: dict[str, Decimal] = {}
    peak: Decimal = ZERO
    day: int = 0
    day_equity: Decimal = ZERO
    ts: int = 0
    drift: Decimal = ZERO

    @property
    def balance(self) -> Decimal | None:
        """Balance without unrealised profit; None before the venue has told the first one."""
        return None if self.started is None else self.started + self.moved

    @property
    def moved(self) -> Decimal:
        """What has changed the balance since the ledger began."""
        return self.realised - self.fees + self.funding + self.transferred

    @property
    def unrealised(self) -> Decimal:
        """Unrealised profit of all positions at their marks."""
        return sum((held.unrealised(self.marks[symbol]) for symbol, held in self.holdings.items()), ZERO)

    @property
    def equity(self) -> Decimal | None:
        """Balance and unrealised profit."""
        return None if self.balance is None else self.balance + self.unrealised

    def pass_time(self, ts: int) -> bool:
        """Move on to an event's time; return whether a new UTC day began, whose first equity is then the present one."""
        self.ts = max(self.ts, ts)
        equity = self.equity
        if self.ts // DAY_US <= self.day or equity is None:
            return False
        self.day, self.day_equity = self.ts // DAY_US, equity
        return True


class Cause(msgspec.Struct, frozen=True):
    """The record that changed the ledger: its id and times."""

    event_id: str
    event_ts: int
    ingest_ts: int


def cause_of(record: msgspec.Struct) -> Cause:
    """Return id and times of a record."""
    return msgspec.convert(record, Cause, from_attributes=True)


def position(held: Holding, mark: Decimal, cause: Cause) -> Output:
    """Return the record of a position, flat where nothing is held."""
    record = PortfolioPosition(
        event_id=f"{cause.event_id}:position:{held.position_id}", event_ts=cause.event_ts, ingest_ts=cause.ingest_ts,
        account=held.account, symbol=held.symbol, venue=held.venue, position_id=held.position_id,
        side=held.side if held.quantity else PositionSide.FLAT, quantity=held.quantity, entry_price=held.entry_price,
        mark_price=mark, leverage=held.leverage, margin=held.margin, unrealised_pnl=rounded(held.unrealised(mark)),
        realised_pnl=rounded(held.realised), fees=held.fees, funding=held.funding, opened_ts=held.opened_ts, initial_quantity=held.largest,
        initial_stop=held.initial_stop, risk_amount=None if held.risk is None else rounded(held.risk),
        strategy=held.strategy, signal_id=held.signal_id,
    )  # fmt: skip
    return Output("portfolio.position", f"{held.account}:{held.symbol}", record)


def snapshot(account: Account, cause: Cause) -> list[Output]:
    """Return the record of the whole account and move its peak; nothing before its balance is known."""
    balance, equity = account.balance, account.equity
    if balance is None or equity is None:
        return []
    account.peak = max(account.peak, equity)
    margin = sum((held.margin for held in account.holdings.values()), ZERO)
    record = PortfolioSnapshot(
        event_id=f"{cause.event_id}:snapshot:{account.name}", event_ts=cause.event_ts, ingest_ts=cause.ingest_ts, account=account.name,
        equity=rounded(equity), balance=rounded(balance), available=rounded(equity - margin),
        unrealised_pnl=rounded(account.unrealised), realised_pnl=rounded(account.realised), fees=rounded(account.fees),
        funding=rounded(account.funding), transferred=rounded(account.transferred),
        daily_pnl=rounded(equity - account.day_equity), peak_equity=rounded(account.peak),
        drawdown=float((account.peak - equity) / account.peak) if account.peak > 0 else 0.0,
        open_positions=len(account.holdings),
    )  # fmt: skip
    return [Output("portfolio.snapshot", account.name, record)]


def exposure(account: Account, cause: Cause) -> Output:
    """Return the record of the account's exposure at the marks."""
    symbols = [
        SymbolNotional(symbol=symbol, notional=rounded(held.direction * held.quantity * account.marks[symbol]))
        for symbol, held in sorted(account.holdings.items())
    ]
    record = PortfolioExposure(
        event_id=f"{cause.event_id}:exposure:{account.name}", event_ts=cause.event_ts, ingest_ts=cause.ingest_ts, account=account.name,
        gross=sum((abs(each.notional) for each in symbols), ZERO), net=sum((each.notional for each in symbols), ZERO),
        margin=sum((held.margin for held in account.holdings.values()), ZERO), symbols=symbols,
    )  # fmt: skip
    return Output("portfolio.exposure", account.name, record)
