"""Binance's trades, best prices and mark prices: what the venue calls ``p`` has a name and a type from here on."""

from __future__ import annotations

import msgspec

from connectors.exchange.market_data import (
    Mark,
    OpenInterest,
    Quote,
    Trade,
    checked_mark,
    checked_open_interest,
    checked_quote,
    checked_trade,
)
from connectors.exchange.payload import MILLISECOND, decoded
from schemas.common import FrameKind, Side
from schemas.exchange.records import ExchangeFrame


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


class RestOpenInterest(msgspec.Struct):
    """``openInterest``: base asset, of coin-margined futures contracts."""

    quantity: float = msgspec.field(name="openInterest")
    time_ms: int = msgspec.field(name="time")


_STREAM_TRADE = msgspec.json.Decoder(StreamTrade, strict=False)
_REST_TRADE = msgspec.json.Decoder(RestTrade, strict=False)
_QUOTE = msgspec.json.Decoder(StreamQuote, strict=False)
_STREAM_MARK = msgspec.json.Decoder(StreamMark, strict=False)
_REST_MARK = msgspec.json.Decoder(RestMark, strict=False)
_OPEN_INTEREST = msgspec.json.Decoder(RestOpenInterest, strict=False)


def trades_of(frame: ExchangeFrame) -> list[Trade]:
    """Return the trade of a frame, by websocket or by REST; the seller took where the buyer was the maker."""
    said: StreamTrade | RestTrade = decoded(_REST_TRADE if frame.kind is FrameKind.REST else _STREAM_TRADE, frame)
    side = Side.SELL if said.buyer_is_maker else Side.BUY
    return [checked_trade(frame, Trade(said.id, said.price, said.quantity, said.time_ms * MILLISECOND, side))]


def quote_of(frame: ExchangeFrame) -> Quote:
    """Return the best bid and ask of a frame."""
    said: StreamQuote = decoded(_QUOTE, frame)
    ts = (said.time_ms or said.sent_ms) * MILLISECOND
    return checked_quote(frame, Quote(said.update_id, said.bid_price, said.bid_quantity, said.ask_price, said.ask_quantity, ts))


def mark_of(frame: ExchangeFrame) -> Mark:
    """Return mark price, index price and funding of a frame, by websocket or by REST."""
    said: StreamMark | RestMark = decoded(_REST_MARK if frame.kind is FrameKind.REST else _STREAM_MARK, frame)
    return checked_mark(
        frame,
        Mark(said.time_ms * MILLISECOND, said.mark_price, said.index_price, said.funding_rate, said.next_funding_ms * MILLISECOND),
    )


def open_interest_of(frame: ExchangeFrame) -> OpenInterest:
    """Return the open interest of a frame."""
    said: RestOpenInterest = decoded(_OPEN_INTEREST, frame)
    return checked_open_interest(frame, OpenInterest(said.time_ms * MILLISECOND, said.quantity))
