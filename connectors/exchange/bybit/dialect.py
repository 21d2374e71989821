"""Bybit's frames in the platform's form.

Books: a snapshot comes on subscribing and whenever the venue starts its numbering anew; each delta's ``u`` is one more than that of
the message before. ``seq``, the matching engine's, never falls.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from connectors.exchange.book.update import DepthUpdate, exact_levels
from connectors.exchange.market_data import (
    Instrument,
    Mark,
    OpenInterest,
    Quote,
    Trade,
    checked_mark,
    checked_open_interest,
    checked_quote,
    checked_trade,
    number_of,
    spot_rules,
)
from connectors.exchange.payload import MILLISECOND, corrupt, decoded
from schemas.common import FrameKind, InstrumentRules, Side
from schemas.exchange.records import ExchangeFrame

ZERO = Decimal(0)
_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
Texts = list[tuple[str, str]]


class _StreamTrade(msgspec.Struct):
    time_ms: int = msgspec.field(name="T")
    side: str = msgspec.field(name="S")
    quantity: float = msgspec.field(name="v")
    price: float = msgspec.field(name="p")
    id: str = msgspec.field(name="i")


class _Trades(msgspec.Struct):
    data: list[_StreamTrade]


class _RestTrade(msgspec.Struct):
    """One row of ``recent-trade``."""

    id: str = msgspec.field(name="execId")
    time_ms: int = msgspec.field(name="time")
    side: str
    quantity: float = msgspec.field(name="size")
    price: float


class _Levels(msgspec.Struct):
    bids: Texts = msgspec.field(name="b")
    asks: Texts = msgspec.field(name="a")
    update_id: int = msgspec.field(name="u")
    sequence: int = msgspec.field(name="seq")


class _Book(msgspec.Struct):
    kind: str = msgspec.field(name="type")
    data: _Levels
    matched_ms: int = msgspec.field(name="cts", default=0)
    sent_ms: int = msgspec.field(name="ts", default=0)


class _Ticker(msgspec.Struct):
    """What a delta does not state is unchanged; venues of dated contracts leave the funding empty."""

    mark_price: str = msgspec.field(name="markPrice", default="")
    index_price: str = msgspec.field(name="indexPrice", default="")
    funding_rate: str = msgspec.field(name="fundingRate", default="")
    next_funding_ms: str = msgspec.field(name="nextFundingTime", default="")
    open_interest: str = msgspec.field(name="openInterest", default="")


class _Tickers(msgspec.Struct):
    kind: str = msgspec.field(name="type")
    data: _Ticker
    sent_ms: int = msgspec.field(name="ts")


class _PriceFilter(msgspec.Struct):
    tick_size: Decimal = msgspec.field(name="tickSize")


class _LotFilter(msgspec.Struct):
    """Spot has a precision and an amount where derivatives have a step and a notional."""

    min_quantity: Decimal = msgspec.field(name="minOrderQty")
    max_quantity: Decimal = msgspec.field(name="maxOrderQty")
    max_market_quantity: Decimal = msgspec.field(name="maxMktOrderQty", default=ZERO)
    step: Decimal = msgspec.field(name="qtyStep", default=ZERO)
    precision: Decimal = msgspec.field(name="basePrecision", default=ZERO)
    min_notional: Decimal = msgspec.field(name="minNotionalValue", default=ZERO)
    min_amount: Decimal = msgspec.field(name="minOrderAmt", default=ZERO)


class _Leverage(msgspec.Struct):
    most: float = msgspec.field(name="maxLeverage")


class _RiskLimit(msgspec.Struct):
    maintenance: float = msgspec.field(name="maintenanceMargin")


class _Symbol(msgspec.Struct):
    base: str = msgspec.field(name="baseCoin")
    quote: str = msgspec.field(name="quoteCoin")
    price: _PriceFilter = msgspec.field(name="priceFilter")
    lot: _LotFilter = msgspec.field(name="lotSizeFilter")
    leverage: _Leverage | None = msgspec.field(name="leverageFilter", default=None)
    risk_limit: _RiskLimit | None = msgspec.field(name="riskLimit", default=None)


_TRADES = msgspec.json.Decoder(_Trades, strict=False)
_REST_TRADE = msgspec.json.Decoder(_RestTrade, strict=False)
_BOOK = msgspec.json.Decoder(_Book)
_TICKERS = msgspec.json.Decoder(_Tickers)
_SYMBOL = msgspec.json.Decoder(_Symbol, strict=False)


class BybitDialect:
    """See `Dialect`."""

    counts_trades = False

    def trades(self, frame: ExchangeFrame) -> list[Trade]:
        """Return the trades of a message, or of one row of REST; block trades are trades."""
        rows = [decoded(_REST_TRADE, frame)] if frame.kind is FrameKind.REST else decoded(_TRADES, frame).data
        return [
            checked_trade(frame, Trade(number_of(row.id), row.price, row.quantity, row.time_ms * MILLISECOND, _side(frame, row.side)))
            for row in rows
        ]

    def quote(self, frame: ExchangeFrame) -> Quote | None:
        """Return the best level of a book of one level; its number is ``seq``, because ``u`` may begin anew."""
        book: _Book = decoded(_BOOK, frame)
        if not book.data.bids or not book.data.asks:
            return None
        try:
            (bid, bid_quantity), (ask, ask_quantity) = (
                (float(price), float(size)) for price, size in (book.data.bids[0], book.data.asks[0])
            )
        except ValueError as error:
            raise corrupt(frame, str(error)) from error
        ts = (book.matched_ms or book.sent_ms) * MILLISECOND
        return checked_quote(frame, Quote(book.data.sequence, bid, bid_quantity, ask, ask_quantity, ts))

    def mark(self, frame: ExchangeFrame) -> Mark:
        """Return what a ticker states, open interest too."""
        ticker: _Tickers = decoded(_TICKERS, frame)
        said = ticker.data
        try:
            mark, index, rate = (float(text) if text else None for text in (said.mark_price, said.index_price, said.funding_rate))
            next_ts = int(said.next_funding_ms) * MILLISECOND if said.next_funding_ms else None
            ts = ticker.sent_ms * MILLISECOND
            held = OpenInterest(ts, float(said.open_interest)) if said.open_interest else None
        except ValueError as error:
            raise corrupt(frame, str(error)) from error
        if held is not None:
            checked_open_interest(frame, held)
        return checked_mark(frame, Mark(ts, mark, index, rate, next_ts, whole=ticker.kind == "snapshot", open_interest=held))

    def open_interest(self, frame: ExchangeFrame) -> OpenInterest:
        """Refuse: tickers say it, see `mark`."""
        raise corrupt(frame, "open interest is said by tickers")

    def instrument(self, frame: ExchangeFrame) -> Instrument:
        """Return a row of ``instruments-info``; of derivatives with the lowest row of ``risk-limit`` added by the connector."""
        symbol: _Symbol = decoded(_SYMBOL, frame)
        lot, step = symbol.lot, symbol.lot.step or symbol.lot.precision
        if symbol.price.tick_size <= 0 or step <= 0 or lot.max_quantity <= 0:
            raise corrupt(frame, f"tick size {symbol.price.tick_size}, quantity step {step}, most {lot.max_quantity}")
        if symbol.leverage is None:
            rules = spot_rules(symbol.price.tick_size, step, lot.min_quantity, lot.max_quantity, lot.min_amount)
            return Instrument(symbol.base, symbol.quote, rules)
        if symbol.risk_limit is None:
            raise corrupt(frame, "no risk limit says the maintenance margin")
        rules = InstrumentRules(
            tick_size=symbol.price.tick_size.normalize(), lot_size=step.normalize(), min_quantity=lot.min_quantity.normalize(),
            max_quantity=lot.max_market_quantity or lot.max_quantity, min_notional=lot.min_notional,
            max_leverage=symbol.leverage.most, maintenance_rate=symbol.risk_limit.maintenance,
        )  # fmt: skip
        return Instrument(symbol.base, symbol.quote, rules)

    def depth(self, frame: ExchangeFrame) -> DepthUpdate:
        """Return a snapshot, which is of all the levels that the venue will speak of, or a delta."""
        book: _Book = decoded(_BOOK, frame)
        snapshot = book.kind == "snapshot"
        try:
            price_places, size_places, bids, asks = exact_levels(book.data.bids, book.data.asks)
        except ValueError as error:
            raise corrupt(frame, str(error)) from error
        if not snapshot and book.kind != "delta":
            raise corrupt(frame, f"a book's message of type {book.kind!r}")
        return DepthUpdate(
            snapshot=snapshot, resets=snapshot, whole_bids=snapshot, whole_asks=snapshot, last=book.data.update_id,
            previous=-1 if snapshot else book.data.update_id - 1, mark=book.data.sequence,
            price_places=price_places, size_places=size_places, bids=bids, asks=asks,
        )  # fmt: skip


def _side(frame: ExchangeFrame, text: str) -> Side:
    try:
        return _SIDES[text]
    except KeyError:
        raise corrupt(frame, f"a taker's side of {text!r}") from None
