"""What the risk stage remembers."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from schemas.common import Side
from schemas.features.records import MarketRegime
from schemas.governance.records import Policy
from schemas.market.records import MarketFunding, MarketInstrument
from schemas.positions.records import PortfolioExposure, PortfolioSnapshot


class QuoteState(Struct):
    """The newest quote of a symbol at the venue that is traded; times in microseconds since the epoch, UTC; ``ts`` 0 means none."""

    ts: int = 0
    bid_price: float = 0.0
    bid_quantity: float = 0.0
    ask_price: float = 0.0
    ask_quantity: float = 0.0


class SymbolState(Struct):
    """What is known of a symbol at the venue that is traded; None where nothing has come yet.

    Attributes
    ----------
    atr
        ATR(14) of the feature interval, quote currency.
    divergence_bps
        Largest divergence between venues, basis points.
    regime, funding, instrument
        The newest records.
    """

    atr: float | None = None
    divergence_bps: float | None = None
    regime: MarketRegime | None = None
    funding: MarketFunding | None = None
    instrument: MarketInstrument | None = None


class SharedState(Struct):
    """What every partition knows: the newest policy and state of the account."""

    policy: Policy | None = None
    snapshot: PortfolioSnapshot | None = None


class Reservation(Struct):
    """An entry that was allowed and is not yet seen in the exposure.

    Attributes
    ----------
    symbol, side
        What is entered.
    notional, margin, risk
        What it takes up, quote currency.
    ts
        When it was allowed, microseconds since the epoch, UTC.
    signal_id
        event_id of its signal.
    """

    symbol: str
    side: Side
    notional: Decimal
    margin: Decimal
    risk: Decimal
    ts: int
    signal_id: str


class AccountState(Struct):
    """What the checks remember of an account; it lives in the account's own partition.

    Attributes
    ----------
    exposure
        The newest exposure.
    available
        Balance that the venue says is free, quote currency; None before its first word.
    reservations
        Entries under way by intent id.
    day, trades_today
        The UTC day that is counted, in days since the epoch, and the entries allowed in it.
    entry_times
        Times of the entries allowed within the last minute, microseconds since the epoch, UTC.
    stops_in_a_row
        Losing stop-outs since the last other close.
    cooldown_until
        No entries before this time, microseconds since the epoch, UTC.
    signals
        Newest signals that became an intent, oldest first.
    breached
        Codes of the limits that are breached at present.
    """

    exposure: PortfolioExposure | None = None
    available: Decimal | None = None
    reservations: dict[str, Reservation] = {}
    day: int = 0
    trades_today: int = 0
    entry_times: list[int] = []
    stops_in_a_row: int = 0
    cooldown_until: int = 0
    signals: list[str] = []
    breached: list[str] = []
