"""What venues say, in one form: trades, best prices, mark prices. Numbers are floats: market data is never money on the order path."""

from __future__ import annotations

import math
from decimal import Decimal
from hashlib import blake2b
from typing import Protocol

import msgspec

from connectors.exchange.book.update import DepthUpdate
from connectors.exchange.payload import corrupt
from schemas.common import InstrumentRules, Side
from schemas.exchange.records import ExchangeFrame


class Trade(msgspec.Struct, frozen=True):
    """One trade.

    Price and quantity may be 0: Binance's futures publish insurance-fund and ADL events in the trade stream, under trade
    ids of their own.

    Attributes
    ----------
    id : int
        The venue's id of it, see `number_of`.
    price, quantity : float
        Quote currency and base asset.
    ts : int
        When it happened, microseconds.
    side : Side
        Side of the taker.
    """

    id: int
    price: float
    quantity: float
    ts: int
    side: Side


class Quote(msgspec.Struct, frozen=True):
    """Best bid and ask.

    Attributes
    ----------
    update_id : int
        Grows with every change at the venue.
    bid_price, bid_quantity, ask_price, ask_quantity : float
        Quote currency and base asset.
    ts : int
        When they held, microseconds; 0 where the venue does not say.
    """

    update_id: int
    bid_price: float
    bid_quantity: float
    ask_price: float
    ask_quantity: float
    ts: int = 0


class OpenInterest(msgspec.Struct, frozen=True):
    """Open interest of a perpetual: when it held, microseconds, and how much, base asset (contracts for coin-margined)."""

    ts: int
    quantity: float


class Mark(msgspec.Struct, frozen=True):
    """Mark price and funding of a perpetual, or what has changed of them: None is as before.

    Attributes
    ----------
    ts : int
        When they held, microseconds.
    mark_price, index_price : float or None
        Quote currency.
    funding_rate : float or None
        Fraction.
    next_funding_ts : int or None
        When it is paid, microseconds.
    whole : bool
        Whether it states everything anew.
    open_interest : OpenInterest or None
        Open interest, where the venue says it with the mark price.
    """

    ts: int
    mark_price: float | None = None
    index_price: float | None = None
    funding_rate: float | None = None
    next_funding_ts: int | None = None
    whole: bool = True
    open_interest: OpenInterest | None = None


class Instrument(msgspec.Struct, frozen=True):
    """What can be traded, and by which rules."""

    base_asset: str
    quote_asset: str
    rules: InstrumentRules


class Dialect(Protocol):
    """A venue's frames in one form. Every function raises CorruptRecordError where a frame is not of the venue's form.

    Attributes
    ----------
    counts_trades
        Whether trade ids of a symbol grow by one, so that a gap shows.
    """

    counts_trades: bool

    def trades(self, frame: ExchangeFrame) -> list[Trade]:
        """Return the trades of a frame, oldest first."""

    def quote(self, frame: ExchangeFrame) -> Quote | None:
        """Return best bid and ask of a frame; None where a side is empty."""

    def mark(self, frame: ExchangeFrame) -> Mark:
        """Return mark price and funding of a frame."""

    def open_interest(self, frame: ExchangeFrame) -> OpenInterest:
        """Return the open interest of a frame of its own, where the venue has such frames."""

    def instrument(self, frame: ExchangeFrame) -> Instrument:
        """Return the instrument of a frame."""

    def depth(self, frame: ExchangeFrame) -> DepthUpdate:
        """Return what a depth frame says."""


def number_of(text: str) -> int:
    """Return a trade's id as a number: itself where it is one of 63 bits, else 63 bits of its hash."""
    if text.isdecimal() and text.isascii() and int(text) < 1 << 63:
        return int(text)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


def checked_trade(frame: ExchangeFrame, trade: Trade) -> Trade:
    """Return a trade whose numbers can be true."""
    if not (0 <= trade.price < math.inf and 0 <= trade.quantity < math.inf) or trade.ts <= 0:
        raise corrupt(frame, f"a trade at price {trade.price}, quantity {trade.quantity}, time {trade.ts}")
    return trade


def checked_quote(frame: ExchangeFrame, quote: Quote) -> Quote:
    """Return a quote whose numbers can be true; both sides must be there."""
    prices, quantities = (quote.bid_price, quote.ask_price), (quote.bid_quantity, quote.ask_quantity)
    if not (all(0 < price < math.inf for price in prices) and all(0 <= quantity < math.inf for quantity in quantities)):
        raise corrupt(frame, f"a quote of {quote.bid_quantity} at {quote.bid_price}, {quote.ask_quantity} at {quote.ask_price}")
    return quote


def checked_open_interest(frame: ExchangeFrame, said: OpenInterest) -> OpenInterest:
    """Return an open interest whose numbers can be true."""
    if not 0 <= said.quantity < math.inf or said.ts <= 0:
        raise corrupt(frame, f"open interest {said.quantity} at {said.ts}")
    return said


def checked_mark(frame: ExchangeFrame, mark: Mark) -> Mark:
    """Return a mark price whose numbers can be true."""
    prices = [price for price in (mark.mark_price, mark.index_price) if price is not None]
    if not (all(0 < price < math.inf for price in prices) and (mark.funding_rate is None or abs(mark.funding_rate) < 1)):
        raise corrupt(frame, f"mark {mark.mark_price}, index {mark.index_price}, funding rate {mark.funding_rate}")
    return mark


def spot_rules(
    tick_size: Decimal, lot_size: Decimal, min_quantity: Decimal, max_quantity: Decimal, min_notional: Decimal
) -> InstrumentRules:
    """Return the rules of a spot instrument, which knows no leverage."""
    return InstrumentRules(
        tick_size=tick_size.normalize(), lot_size=lot_size.normalize(), min_quantity=min_quantity.normalize(), max_quantity=max_quantity,
        min_notional=min_notional, max_leverage=1.0, maintenance_rate=0.0,
    )  # fmt: skip
