"""Frames as feeds make them, for recordings of a few seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from connectors.exchange.frames import FrameMaker
from connectors.exchange.replay.readers import reader_of
from connectors.exchange.venues import VENUES, Channel
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame

START_US = 1_723_161_590_000_000
"""2024-08-08 23:59:50 UTC: a recording of more than ten seconds goes into another hour and day."""
SECOND = 1_000_000
OFFSET_US = 40_000


def connection(venue: str, session: str = "a1-1") -> FrameMaker:
    """Return what makes the frames of one connection."""
    return reader_of(VENUES[venue], session, OFFSET_US)


def binance(maker: FrameMaker, symbol: str, number: int, at_us: int) -> Iterator[ExchangeFrame]:
    """Give a trade, a best price and a change of the book, and at every tenth a heartbeat."""
    stream, ms = symbol.lower(), (at_us + OFFSET_US) // 1_000
    texts = [
        {
            "stream": f"{stream}@trade",
            "data": {"e": "trade", "E": ms, "T": ms, "s": symbol, "t": number, "p": "10.5", "q": "2", "m": False},
        },
        {"stream": f"{stream}@bookTicker", "data": {"u": number, "s": symbol, "b": "10.4", "B": "1", "a": "10.6", "A": "3"}},
        {
            "stream": f"{stream}@depth@100ms",
            "data": {"e": "depthUpdate", "E": ms, "s": symbol, "U": number, "u": number, "b": [["10.4", str(number + 1)]], "a": []},
        },
    ]
    for text in texts:
        frame = maker.read(json.dumps(text), at_us)
        assert frame is not None
        yield frame
    if number % 10 == 9:
        yield maker.heartbeat(symbol, at_us - at_us % SECOND, at_us)


def instrument(maker: FrameMaker, symbol: str, at_us: int) -> ExchangeFrame:
    """Return an instrument as the feed fetches it."""
    text = json.dumps({"symbol": symbol, "filters": []})
    return maker.frame(symbol, Channel.INSTRUMENT, FrameKind.REST, at_us + OFFSET_US, at_us, text)


def snapshot(maker: FrameMaker, symbol: str, last: int, at_us: int) -> ExchangeFrame:
    """Return a snapshot of the book as the feed fetches it from spot, without a time and a symbol of its own."""
    text = json.dumps({"lastUpdateId": last, "bids": [["10.4", "5"]], "asks": [["10.6", "5"]]})
    frame = maker.read(text, at_us, symbol)
    assert frame is not None
    return frame


def story(seconds: int = 20, symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT"), venue: str = "binance-spot") -> list[ExchangeFrame]:
    """Return what a feed sends of some symbols: instruments, trades by REST that were received late, the stream, a snapshot after 1 s."""
    maker = connection(venue)
    frames = [instrument(maker, symbol, START_US) for symbol in symbols]
    late = START_US + SECOND // 2
    for symbol in symbols:
        row = json.dumps({"id": 0, "price": "10.5", "qty": "1", "time": START_US // 1_000, "isBuyerMaker": True})
        frames.append(maker.frame(symbol, Channel.TRADE, FrameKind.REST, START_US, late, row))
    for number in range(1, seconds * 10):
        at = START_US + number * SECOND // 10
        for symbol in symbols:
            frames.extend(binance(maker, symbol, number, at))
            if number == 10:
                frames.append(snapshot(maker, symbol, number - 1, at))
    return frames
