"""Binance's JSON as typed values: what the venue calls ``p`` has a name and a type from here on.

Numbers that the venue sends as text become floats: market data is never money on the order path.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from quantum.errors import CorruptRecordError
from schemas.common import FrameKind, Side
from schemas.exchange.records import ExchangeFrame

MILLISECOND = 1_000
"""Microseconds."""


class StreamTrade(msgspec.Struct):
    """``@trade`` of the websocket."""

    id: int = msgspec.field(name="t")
    price: float = msgspec.field(name="p")
    quantity: float = msgspec.field(name="q")
    time_ms: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")


class RestTrade(msgspec.Struct):
    """One trade of ``historicalTrades``."""

    id: int
    price: float
    quantity: float = msgspec.field(name="qty")
    time_ms: int = msgspec.field(name="time")
    buyer_is_maker: bool = msgspec.field(name="isBuyerMaker")


class StreamQuote(msgspec.Struct):
    """``@bookTicker``; spot sends no time."""

    update_id: int = msgspec.field(name="u")
    bid_price: float = msgspec.field(name="b")
    bid_quantity: float = msgspec.field(name="B")
    ask_price: float = msgspec.field(name="a")
    ask_quantity: float = msgspec.field(name="A")
    time_ms: int = msgspec.field(name="T", default=0)
    sent_ms: int = msgspec.field(name="E", default=0)


class StreamMark(msgspec.Struct):
    """``@markPrice``; its ``T`` is the time of the coming funding."""

    mark_price: float = msgspec.field(name="p")
    index_price: float = msgspec.field(name="i")
    funding_rate: float = msgspec.field(name="r")
    next_funding_ms: int = msgspec.field(name="T")
    time_ms: int = msgspec.field(name="E")


class RestMark(msgspec.Struct):
    """``premiumIndex``."""

    mark_price: float = msgspec.field(name="markPrice")
    index_price: float = msgspec.field(name="indexPrice")
    funding_rate: float = msgspec.field(name="lastFundingRate")
    next_funding_ms: int = msgspec.field(name="nextFundingTime")
    time_ms: int = msgspec.field(name="time")


Trade = StreamTrade | RestTrade
Mark = StreamMark | RestMark

_STREAM_TRADE = msgspec.json.Decoder(StreamTrade, strict=False)
_REST_TRADE = msgspec.json.Decoder(RestTrade, strict=False)
_QUOTE = msgspec.json.Decoder(StreamQuote, strict=False)
_STREAM_MARK = msgspec.json.Decoder(StreamMark, strict=False)
_REST_MARK = msgspec.json.Decoder(RestMark, strict=False)


def decoded(decoder: msgspec.json.Decoder[Any], frame: ExchangeFrame) -> Any:
    """Return a frame's payload in the decoder's type; raises CorruptRecordError where it is not of that form."""
    try:
        return decoder.decode(frame.payload)
    except msgspec.DecodeError as error:
        raise corrupt(frame, str(error)) from error


def corrupt(frame: ExchangeFrame, what: str) -> CorruptRecordError:
    """Return the error of a frame whose payload is not what its channel says."""
    return CorruptRecordError(f"{frame.channel} frame {frame.event_id}: {what}", "see whether the venue has changed its dialect")


def trade_of(frame: ExchangeFrame) -> Trade:
    """Return the trade of a frame, by websocket or by REST.

    Price and quantity may be 0: on futures the venue publishes insurance-fund and ADL events in the trade stream, under trade
    ids of their own.
    """
    trade: Trade = decoded(_REST_TRADE if frame.kind is FrameKind.REST else _STREAM_TRADE, frame)
    if not (0 <= trade.price < math.inf and 0 <= trade.quantity < math.inf) or trade.time_ms <= 0:
        raise corrupt(frame, f"a trade at price {trade.price}, quantity {trade.quantity}, time {trade.time_ms}")
    return trade


def quote_of(frame: ExchangeFrame) -> StreamQuote:
    """Return the best bid and ask of a frame; both sides must be there."""
    quote: StreamQuote = decoded(_QUOTE, frame)
    prices, quantities = (quote.bid_price, quote.ask_price), (quote.bid_quantity, quote.ask_quantity)
    if not (all(0 < price < math.inf for price in prices) and all(0 <= quantity < math.inf for quantity in quantities)):
        raise corrupt(frame, f"a quote of {quote.bid_quantity} at {quote.bid_price}, {quote.ask_quantity} at {quote.ask_price}")
    return quote


def mark_of(frame: ExchangeFrame) -> Mark:
    """Return mark price, index price and funding of a frame, by websocket or by REST."""
    mark: Mark = decoded(_REST_MARK if frame.kind is FrameKind.REST else _STREAM_MARK, frame)
    if not (0 < mark.mark_price < math.inf and 0 < mark.index_price < math.inf and abs(mark.funding_rate) < 1):
        raise corrupt(frame, f"mark {mark.mark_price}, index {mark.index_price}, funding rate {mark.funding_rate}")
    return mark


def taker_side(trade: Trade) -> Side:
    """Return the side of the taker: the seller took where the buyer was the maker."""
    return Side.SELL if trade.buyer_is_maker else Side.BUY
